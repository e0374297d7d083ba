/* SPDX-License-Identifier: MIT */
#pragma once

/* The value of Allow=, Deny= or ProxyTrustedSources= as it is written: networks, words, and paths
 * of files with networks, each with its origin. Owns its strings. Pure: networks.h reads the files.
 */

#include <stdbool.h>
#include <stddef.h>

#include "greetd/base/diagnostics.h"

struct network_list {
    char **texts;   /* each a network or word of network.h, or an absolute path */
    char **origins; /* of each */
    size_t n;
};

/* Whether TEXT of a list is the path of a file. */
bool network_list_is_path(const char *text);

/* Checks a TEXT of one or more items, separated by white space. Each error is added to DIAGNOSTICS
 * as `ORIGIN: LABEL=ITEM: text`, up to a bound. Returns 0 or -ENOMEM. */
int network_list_check(const char *text, const char *origin, const char *label,
                       struct diagnostics *diagnostics);

/* Appends the items in TEXT that are right. Returns 0, or -ENOMEM, when some may be appended. */
int network_list_append(struct network_list *list, const char *text, const char *origin);

/* Copies FROM to LIST, which is empty. Returns 0 or -ENOMEM. */
int network_list_copy(struct network_list *list, const struct network_list *from);

/* Frees the strings and leaves the list empty. */
void network_list_clear(struct network_list *list);
