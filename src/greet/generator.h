/* SPDX-License-Identifier: MIT */
#pragma once

/* The load generator: many connections by one thread on epoll(7), each checked to the last byte and
 * to its end of stream. It is meant to share a machine with what it measures, so it does little
 * more than the system calls of a client. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "greet/exchange.h"
#include "greet/histogram.h"
#include "greet/outcome.h"
#include "greetd/net/address.h"

struct generator_options {
    struct address address;
    struct exchange_plan plan;
    uint64_t connections;  /* at least 1 */
    uint32_t concurrent;   /* at least 1; held ones count */
    uint64_t rate;         /* begun per second; 0: as fast as others end */
    uint64_t timeout_usec; /* from connect to end of stream */
    uint64_t hold_usec;    /* from end of stream to close */
    FILE *terminal;        /* borrowed: for the progress, or NULL */
};

struct generator_result {
    uint64_t outcomes[OUTCOMES];
    uint64_t finished;     /* the sum of all outcomes */
    uint64_t unfinished;   /* under way when the run was broken off */
    uint64_t spent_usec;   /* from the first beginning to the last end */
    bool interrupted;      /* by SIGINT or SIGTERM */
    struct histogram usec; /* connect to end of stream, of those that were OUTCOME_OK */
};

/* The descriptors it needs besides one for each connection, and a few that the process has. */
#define GENERATOR_DESCRIPTORS 16

/* Runs until all connections are finished and none is held any longer, or SIGINT or SIGTERM is
 * pending: block them before, so that there is always a result to print. RESULT is filled in
 * whatever happens. Returns 0, or a negative errno where this process can't go on: -EMFILE,
 * -ENOBUFS, -ENOMEM, ... */
int generator_run(const struct generator_options *options, struct generator_result *result);
