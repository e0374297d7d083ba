/* SPDX-License-Identifier: MIT */
#pragma once

/* From what a person writes to the addresses to try, in the order to try them in. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "greetd/net/address.h"

struct resolve_list {
    struct address *addresses; /* owned; at least one if the list comes from resolve() */
    size_t n;
};

/* Whether TEXT is `NAME:PORT`, so that resolve() would ask a name server. */
bool resolve_is_name(const char *text);

/* Reads TEXT in the grammar of address_parse(), where a bare `PORT` is that of this machine, by
 * IPv6 and then by IPv4 as for `localhost`; or as `NAME:PORT`, looked up with getaddrinfo(3) within
 * TIMEOUT_USEC. On success *RET is the caller's, for resolve_deinit(). Errors, each with *RET_WHY
 * (static text): -EINVAL for what is no address to connect to, -EHOSTUNREACH for a name that has
 * none, -ETIMEDOUT, -ENOMEM. */
int resolve(struct resolve_list *ret, const char *text, uint64_t timeout_usec,
            const char **ret_why);

/* Frees what is owned and leaves it empty. */
void resolve_deinit(struct resolve_list *list);
