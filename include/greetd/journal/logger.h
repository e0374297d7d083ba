/* SPDX-License-Identifier: MIT */
#pragma once

/* The way of every log entry while workers run: from bounded rings, one for each thread that has
 * something to say, to the log, by one thread that does nothing else. Putting an entry into a ring
 * never blocks, never allocates and never waits for journald.
 *
 * An entry that finds its ring full is left out and counted, and so is a connection beyond the
 * limit, or one whose entry could not be written. Once in a while, and at the end, an entry says
 * how many were left out, so that those entries and the ones for connections add up to the
 * connections that were handed to logger_log_connection(), exactly. */

#include <stdbool.h>
#include <stdint.h>

#include "greetd/base/cleanup.h"
#include "greetd/journal/entry.h"
#include "greetd/journal/rate_limit.h"
#include "greetd/journal/sink.h"

/* What is wanted in the log. */
struct logger_options {
    bool connections; /* an entry for each, if that is within the level (they are LOG_INFO) */
    int level;        /* of syslog(3): what is less urgent is not logged */
    struct rate_limit_settings limit; /* of the entries for connections */
};

struct logger;

/* Starts the thread that writes to LOG, which is borrowed and its own until logger_stop(). There
 * are rings for N_WORKERS workers and one for the main thread. On success *RET is the caller's.
 * Errors: -ENOMEM, or what eventfd(2) or pthread_create(3) said. All signals should be blocked
 * already. */
int logger_start(struct logger **ret, struct sink *sink, unsigned n_workers,
                 const struct logger_options *options);

/* Changes what is wanted from now on; what was handed over before is still written. Only for the
 * main thread. */
void logger_configure(struct logger *logger, const struct logger_options *options);

/* Whether there is to be an entry for each connection; for any thread. */
bool logger_wants_connections(const struct logger *logger);

/* How many entries for connections were left out so far, for whatever reason; for any thread. It
 * never becomes less. */
uint64_t logger_dropped(const struct logger *logger);

/* Writes what is still in the rings, ends the thread and frees everything. The threads that log
 * must have ended. If the journal refuses entries to the end, tries to say past it how many are
 * lost. If the log stands still until DEADLINE (CLOCK_MONOTONIC microseconds), tries to say past it
 * how many entries are lost, returns -ETIMEDOUT and leaves the thread and its memory as they are:
 * the process is about to exit. */
int logger_stop(struct logger *logger, uint64_t deadline_usec);

/* The same for a log that some thread may still use: nothing is freed in any case, and what is
 * handed over from now on is lost. */
int logger_end(struct logger *logger, uint64_t deadline_usec);

/* Logs one connection, which should be wanted; only for the thread of that worker. Its cost is a
 * copy, or while the limit is used up only that of counting. */
void logger_log_connection(struct logger *logger, unsigned worker,
                           const struct logger_log_connection *connection);

/* Logs that a worker can't accept for want of descriptors or memory, with ERROR (positive errno);
 * only for the thread of that worker. */
void logger_log_accept_paused(struct logger *logger, unsigned worker, int error);

/* Logs that clients are accepted at ADDRESS on the socket called LISTENER; only for the main
 * thread. */
void logger_log_listening(struct logger *logger, const char *listener, const char *address);

/* Logs a sentence, formatted as by printf(3); only for the main thread. PRIORITY and ID as for
 * sink_write(). */
void logger_log(struct logger *logger, int priority, const char *id, const char *format, ...)
    _printf_(4, 5);
