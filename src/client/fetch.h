/* SPDX-License-Identifier: MIT */
#pragma once

/* One connection, in steps that wait and can be printed as they happen: connect, send, receive. The
 * caller owns struct fetch; only the main thread uses it, because of output_set_timeout(). */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "client/exchange.h"
#include "client/resolve.h"
#include "greetd/base/diagnostics.h"
#include "greetd/net/address.h"

struct fetch_options {
    uint64_t timeout_usec;       /* per address, from connect to end of stream; UINT64_MAX: none */
    struct exchange_proxy proxy; /* the header that is sent first is number 0 of these */
    const char *send;            /* borrowed: send_size bytes; NULL: as many zeros */
    size_t send_size;
    FILE *explain; /* borrowed: print each step here, or NULL */
};

struct fetch {
    const struct fetch_options *options; /* borrowed */
    struct address address;              /* the current or last one of the list */
    int fd;                              /* owned; -1 if there is none */
    uint64_t start_usec, due_usec;       /* CLOCK_MONOTONIC, for the current address */
    char header[PROXY_FORMAT_MAX];
    size_t header_size;
    size_t sent; /* of the header, then of what options say */
    uint64_t received;
    int send_error; /* negative errno that ended sending but not receiving, or 0 */
};

/* Tries the addresses in order until one accepts the connection, then starts to send. Returns 0,
 * and fetch_close() must end the fetch. Otherwise returns the negative errno of the last address,
 * with a line `ADDRESS: reason` for each address in DIAGNOSTICS, and nothing is left to close. Each
 * address sets output_set_timeout() to its time; only fetch_close() removes it. */
int fetch_open(struct fetch *fetch, const struct fetch_options *options,
               const struct resolve_list *list, struct diagnostics *diagnostics);

/* Waits for the next bytes, and sends meanwhile. Returns how many of at most SIZE bytes were
 * received; 0 at the end of stream; or a negative errno: -ETIMEDOUT at the timeout, -ECONNRESET,
 * ... */
ssize_t fetch_read(struct fetch *fetch, char *buffer, size_t size);

/* Adds `ADDRESS: reason` and the number of bytes received to DIAGNOSTICS. ERROR is that of
 * fetch_read(). */
void fetch_add_error(const struct fetch *fetch, int error, struct diagnostics *diagnostics);

/* Closes the connection and removes the timeout. */
void fetch_close(struct fetch *fetch);
