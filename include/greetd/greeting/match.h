/* SPDX-License-Identifier: MIT */
#pragma once

/* Matches a text with a greeting: the inverse of render. Owns nothing; pure, but for the memory
 * that it allocates and frees again. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "greetd/greeting/greeting.h"
#include "greetd/greeting/variable.h"

/* What the client of a connection knows of the greeting that it received. Borrowed. */
struct match_connection {
    const struct peer *peer;     /* $remote_addr: this end */
    const struct address *local; /* $server_addr: the other end */
    const char *listener;        /* $listener */
    bool has_rtt;                /* it is a connection of TCP */
    uint64_t from_usec, to_usec; /* CLOCK_REALTIME: the earliest and the latest time in it */
};

/* Where a text begins to differ from a greeting, and what should be there. */
struct match_difference {
    size_t offset;                   /* as many bytes are right */
    size_t line;                     /* of the byte at OFFSET, from 1 */
    const struct variable *variable; /* whose value it should be part of, or NULL */
    int byte;                        /* without a variable: the right byte; -1: end of stream */
};

/* Returns 1 if the SIZE bytes at BYTES can be GREETING as rendered for CONNECTION, 0 if not, with
 * *RET, or -ENOMEM. Times are local, in the zone that tzset(3) has read. */
int match_greeting(struct match_difference *ret, const struct greeting *greeting,
                   const struct match_connection *connection, const char *bytes, size_t size);

/* Room for match_explain(), with its '\0'. */
#define MATCH_TEXT_MAX 128

/* Writes DIFFERENCE, which the SIZE bytes at BYTES have, to BUFFER (MATCH_TEXT_MAX bytes). Bytes
 * are counted from 1 as in cmp(1). Returns BUFFER. */
const char *match_explain(const struct match_difference *difference, const char *bytes, size_t size,
                          char *buffer);
