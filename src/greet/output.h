/* SPDX-License-Identifier: MIT */
#pragma once

/* What is printed to stdout, and whether that worked. */

#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

#include "greet/generator.h"
#include "greet/schedstat.h"

/* What a load run has found out. All is borrowed. */
struct output_load {
    const struct generator_options *options;
    const struct generator_result *result;
    pid_t pid;                      /* the server's, 0 if unknown */
    const struct schedstat *server; /* the processor time it used meanwhile, if pid is known */
};

/* From AFTER_USEC microseconds on, a write(2) or poll(2) of this thread that has to wait fails with
 * EINTR, after a tenth of a second at the latest. USEC_INFINITY removes the limit, which is the
 * process's interval timer with SIGALRM. */
void output_limit(uint64_t after_usec);

/* Writes all SIZE bytes to FD, waiting if it is non-blocking. Gives up at DUE_USEC
 * (CLOCK_MONOTONIC), for which the caller has to set output_limit() too. Returns 0, -ETIMEDOUT, or
 * a negative errno of write(2). */
int output_bytes(int fd, const char *bytes, size_t size, uint64_t due_usec);

/* Prints for a person. */
void output_text(FILE *stream, const struct output_load *load);

/* Prints one JSON object and a newline. */
void output_json(FILE *stream, const struct output_load *load);

/* How many connections the server, or the way to it, has lost: all but those that were right and
 * those that had no local port. */
uint64_t output_count_lost(const struct generator_result *result);

/* Writes out what the stream has buffered. Returns 0, or a negative errno if that fails or anything
 * printed to it before had failed. */
int output_flush(FILE *stream);
