/* SPDX-License-Identifier: MIT */
#pragma once

/* Resolves the ADDRESS of the command line to socket addresses, in the order in which to try them.
 * The caller owns the list; only the main thread resolves. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "greetd/net/address.h"

struct resolve_list {
    struct address *addresses; /* owned; resolve() fills in at least one */
    size_t n;
};

/* Whether TEXT is `NAME:PORT`, which resolve() looks up. */
bool resolve_is_name(const char *text);

/* Parses TEXT as address_parse() does, or looks up `NAME:PORT` with getaddrinfo(3) within
 * TIMEOUT_USEC. A bare `PORT` is [::1]:PORT and then 127.0.0.1:PORT; an address of all interfaces
 * is the loopback address of its family. On success *RET is the caller's, for resolve_deinit().
 * Errors, each with static text in *RET_WHY: -EINVAL if TEXT is no address to connect to,
 * -EHOSTUNREACH if the name has no address, -ETIMEDOUT, -ENOMEM. */
int resolve(struct resolve_list *ret, const char *text, uint64_t timeout_usec,
            const char **ret_why);

/* Frees the addresses and leaves the list empty. */
void resolve_deinit(struct resolve_list *list);
