/* SPDX-License-Identifier: MIT */
#pragma once

/* The way into the log for workers and the main thread. Each has a bounded ring to the log thread
 * (writer), which alone writes to the sink. Logging never blocks, never allocates and never waits
 * for journald.
 *
 * A record that finds its ring full is dropped and counted, and so is a connection beyond the rate
 * limit, or one whose entry could not be written. Entries on a timer, and one at the end, announce
 * how many were dropped, so that these numbers and the entries for connections add up to the calls
 * of logger_log_connection(), exactly. */

#include <stdbool.h>
#include <stdint.h>

#include "greetd/base/cleanup.h"
#include "greetd/journal/rate_limit.h"
#include "greetd/journal/record.h"
#include "greetd/journal/sink.h"
#include "greetd/metrics/metrics.h"

struct logger_options {
    int level;                        /* of syslog(3): less urgent entries are not logged */
    struct rate_limit_settings limit; /* of the entries for connections */
};

struct logger;

/* Starts the log thread, which writes to SINK. SINK is borrowed, and the thread's own until
 * logger_stop(). METRICS, borrowed too, count dropped connections; there is a ring for each of
 * their workers and one for the main thread. On success *RET is the caller's. Errors: -ENOMEM, or a
 * negative errno of eventfd(2) or pthread_create(3). All signals should be blocked already. */
int logger_start(struct logger **ret, struct sink *sink, struct metrics *metrics,
                 const struct logger_options *options);

/* Changes the options; records in the rings are still written. Only for the main thread. */
void logger_configure(struct logger *logger, const struct logger_options *options);

/* Whether the level admits entries for connections, which are LOG_INFO; for any thread. Whether
 * an entry for one of them is wanted is for the caller to know. */
bool logger_wants_connections(const struct logger *logger);

/* Writes all that is in the rings, ends the thread and frees everything. All producers must have
 * ended. If the journal refuses entries until the end, tries to write how many were lost by
 * sink_try_write(). If the sink blocks until DEADLINE (CLOCK_MONOTONIC microseconds), tries the
 * same, returns -ETIMEDOUT and leaves the thread and its memory alone: the process is about to
 * exit. */
int logger_stop(struct logger *logger, uint64_t deadline_usec);

/* The same if a producer may not have ended: frees nothing in any case, and later records are
 * lost. */
int logger_end(struct logger *logger, uint64_t deadline_usec);

/* Logs one connection; only for the thread of that worker, and if the level admits it. Costs a
 * copy, or while the limit is exceeded an addition. */
void logger_log_connection(struct logger *logger, unsigned worker,
                           const struct connection_record *connection);

/* Logs that a worker has paused accepting after ERROR (positive errno) of accept4(2); only for the
 * thread of that worker. */
void logger_log_accept_paused(struct logger *logger, unsigned worker, int error);

/* Logs a sentence, formatted as by printf(3); only for the main thread. PRIORITY and ID are those
 * of struct sink_entry. */
void logger_log(struct logger *logger, int priority, const char *id, const char *format, ...)
    _printf_(4, 5);

/* The same about LISTENER, as GREETD_LISTENER=. */
void logger_log_about(struct logger *logger, const char *listener, int priority, const char *id,
                      const char *format, ...) _printf_(5, 6);
