/* SPDX-License-Identifier: MIT */
#pragma once

/* One connection, step by step: each step can be printed as it happens. */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "greet/resolve.h"
#include "greetd/base/diagnostics.h"
#include "greetd/net/address.h"

struct fetch_options {
    uint64_t timeout_usec; /* for each address, from connect to end of stream; UINT64_MAX: none */
    const char *send;      /* borrowed, send_size bytes to send; NULL for as many zeros */
    size_t send_size;
    FILE *explain; /* borrowed, where the steps are printed; NULL: nowhere */
};

struct fetch {
    const struct fetch_options *options; /* borrowed */
    struct address address;              /* the one that is, or was last, tried */
    int fd;                              /* -1 if there is none */
    uint64_t began_usec, due_usec;       /* CLOCK_MONOTONIC: the time that this address has */
    size_t sent;
    uint64_t received;
    int broken; /* the negative errno that ended the sending but not yet the reading, or 0 */
};

/* Tries the addresses in their order until one can be connected to, and begins to send. Returns 0,
 * with a fetch that fetch_deinit() ends. Else the negative errno of the last one, with a line for
 * each address in DIAGNOSTICS, `ADDRESS: reason`; the fetch needs no end then. Each address sets
 * output_limit() to its time, and only fetch_deinit() removes it. */
int fetch_open(struct fetch *fetch, const struct fetch_options *options,
               const struct resolve_list *list, struct diagnostics *diagnostics);

/* Reads the next bytes, up to SIZE, waiting for them and sending meanwhile. Returns how many; 0 at
 * the end of stream; or a negative errno: -ETIMEDOUT when the time is over, -ECONNRESET, ... */
ssize_t fetch_read(struct fetch *fetch, char *buffer, size_t size);

/* Adds `ADDRESS: reason` with the bytes received so far, for the ERROR (negative) that fetch_read()
 * returned. */
void fetch_report(const struct fetch *fetch, int error, struct diagnostics *diagnostics);

/* Closes the connection. */
void fetch_deinit(struct fetch *fetch);
