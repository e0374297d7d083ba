/* SPDX-License-Identifier: MIT */
#pragma once

/* Everything that greet prints: the greeting, errors, the progress and the summary of a load run.
 * Streams and results are borrowed. Only the main thread prints. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "client/measure.h"
#include "greetd/base/cleanup.h"
#include "greetd/base/diagnostics.h"
#include "greetd/net/address.h"

/* Prints `greet: `, a message formatted as by printf(3), and a newline to stderr. */
void output_error(const char *format, ...) _printf_(1, 2);

/* Prints each line of DIAGNOSTICS with output_error(). */
void output_errors(const struct diagnostics *diagnostics);

/* Prints each line of DIAGNOSTICS to stderr as it is: the errors of a configuration, as `greetd
 * --check` prints them. */
void output_config_errors(const struct diagnostics *diagnostics);

/* After TIMEOUT_USEC, any write(2) or poll(2) of this thread that blocks fails with EINTR, within a
 * tenth of a second. USEC_INFINITY removes the timeout. It uses SIGALRM and the interval timer of
 * the process. */
void output_set_timeout(uint64_t timeout_usec);

/* Writes all SIZE bytes to FD, and waits if it is non-blocking. Returns 0, a negative errno of
 * write(2), or -ETIMEDOUT at DUE_USEC (CLOCK_MONOTONIC), for which the caller also needs
 * output_set_timeout(). */
int output_write(int fd, const char *bytes, size_t size, uint64_t due_usec);

/* Flushes stdout. Returns whether everything printed to it was written; prints the error if not. */
bool output_flush(void);

/* A line on a terminal, rewritten once a second during a load run. All times are CLOCK_MONOTONIC.
 */
struct progress {
    FILE *terminal; /* borrowed; NULL: print nothing */
    uint64_t start_usec;
    uint64_t due_usec; /* when to print next; USEC_INFINITY without a terminal */
    uint64_t total;
};

/* Starts the progress of TOTAL connections now. TERMINAL may be NULL. */
struct progress progress_start(FILE *terminal, uint64_t total);

/* Rewrites the line if it is due. NOT_OK of the FINISHED connections had another outcome than
 * OUTCOME_OK. */
void progress_print(struct progress *progress, uint64_t finished, uint64_t not_ok, uint32_t open);

/* Erases the line. */
void progress_clear(struct progress *progress);

/* The result of a load run, for printing. All pointers are borrowed. */
struct load_summary {
    const struct address *address;
    const struct load_result *result;
    pid_t pid;                      /* the server's; 0: do not print its processor time */
    const struct schedstat *server; /* the processor time that PID used during the run */
};

/* Prints SUMMARY as text, in two to four lines. */
void output_text(FILE *stream, const struct load_summary *summary);

/* Prints SUMMARY as one JSON object and a newline. */
void output_json(FILE *stream, const struct load_summary *summary);

/* Prints TEXT as a JSON string (RFC 8259), with its quotes. Each byte that is not UTF-8 becomes
 * U+FFFD, so the result is valid JSON for any text. ferror(3) reports a failed write. */
void output_json_string(FILE *stream, const char *text);
