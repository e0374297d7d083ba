/* SPDX-License-Identifier: MIT */
#pragma once

/* The value of Allow=, Deny= or ProxyTrustedSources= as it is written: networks, words, and paths
 * of files of networks, each with its origin. Owns its strings. Pure but for network_list_read(),
 * which blocks on the disk. */

#include <stdbool.h>
#include <stddef.h>

#include "greetd/base/diagnostics.h"
#include "greetd/base/file.h"
#include "greetd/guard/network.h"

struct network_list {
    char **texts;   /* each a network or word of network.h, or an absolute path */
    char **origins; /* of each */
    size_t n;
};

/* Checks a TEXT of one or more items, separated by white space. Each error is added to DIAGNOSTICS
 * as `ORIGIN: LABEL=ITEM: text`; beyond 100 they are only counted. Returns 0 or -ENOMEM. */
int network_list_check(const char *text, const char *origin, const char *label,
                       struct diagnostics *diagnostics);

/* Appends the items in TEXT that are right. Returns 0, or -ENOMEM, when some may be appended. */
int network_list_append(struct network_list *list, const char *text, const char *origin);

/* Copies FROM to LIST, which is empty. Returns 0 or -ENOMEM. */
int network_list_copy(struct network_list *list, const struct network_list *from);

/* Frees the strings and leaves the list empty. */
void network_list_clear(struct network_list *list);

/* What lists contain. */
struct network_array {
    struct network *networks; /* owned */
    size_t n, capacity;
};

void network_array_deinit(struct network_array *array);

/* Appends the networks of LIST, the value of the setting LABEL, and of its files to ARRAY, as
 * allowed or DENIED ones. A file has a network or word in each line. A comment begins with a `#` or
 * `;` at the beginning of a line or after white space; empty lines are skipped. Each error in a
 * file, and a file that can't be read, is added to REPORT and is no failure. Beyond 100 of a file
 * errors are only counted: one that has no networks at all may have millions of lines. REPORT may
 * have no remarks. Errors: -EMFILE or -ENFILE, which are added, too; -ENOMEM. */
int network_list_read(struct network_array *array, const struct network_list *list,
                      const char *label, bool denied, struct file_report *report);
