/* SPDX-License-Identifier: MIT */
#pragma once

/* The load generator: makes many connections from one thread on epoll(7), and checks every byte and
 * the end of stream of each. It often shares a machine with the server that it measures, so it does
 * little more than the system calls of a client. It owns its sockets and tables for one run. */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "client/exchange.h"
#include "client/measure.h"
#include "client/receipt.h"
#include "greetd/greeting/greeting.h"

struct generator_options {
    struct exchange_request request;
    const struct greeting *expected; /* borrowed */
    uint64_t connections;            /* at least 1; numbered from 1 in their PROXY headers */
    uint32_t concurrent;             /* at least 1, including held connections */
    uint64_t rate;                   /* starts per second; 0: as fast as others end */
    uint64_t timeout_usec;           /* from connect to end of stream */
    uint64_t hold_usec;              /* from end of stream to close */
    FILE *terminal;                  /* borrowed: for the progress, or NULL */
    struct receipts *receipts;       /* borrowed: a receipt of each connection, or NULL */
};

/* The descriptors that a run needs besides one per connection, including those the process has. */
#define GENERATOR_DESCRIPTORS 16

/* Blocks SIGINT and SIGTERM, so that they end a run and not the process. Call it before
 * generator_run(), which would otherwise leave no result to print. */
void generator_block_signals(void);

/* Runs until all connections have finished and none is held, SIGINT or SIGTERM is pending, or a
 * receipt can't be written. RESULT is always filled in. Returns 0, or a negative errno if this
 * process can't continue: -EMFILE, -ENOBUFS, -ENOMEM, ... */
int generator_run(const struct generator_options *options, struct load_result *result);
