/* SPDX-License-Identifier: MIT */
#pragma once

/* The way of every log entry while workers run: from bounded rings, one for each thread that has
 * something to say, to the log, by one thread that does nothing else. Putting an entry into a ring
 * never blocks, never allocates and never waits for journald.
 *
 * An entry that finds its ring full is left out and counted, and so is a connection beyond the
 * limit, or one whose entry could not be written. Once in a while, and at the end, an entry says
 * how many were left out, so that those entries and the ones for connections add up to the
 * connections that were handed to connlog_connection(), exactly. */

#include <stdbool.h>
#include <stdint.h>

#include "greetd/base/cleanup.h"
#include "greetd/journal/entry.h"
#include "greetd/journal/rate_limit.h"
#include "greetd/journal/sink.h"

/* What is wanted in the log. */
struct connlog_options {
    bool connections; /* an entry for each, if that is within the level (they are LOG_INFO) */
    int level;        /* of syslog(3): what is less urgent is not logged */
    struct connlog_limit limit; /* of the entries for connections */
};

struct connlog;

/* Starts the thread that writes to LOG, which is borrowed and its own until connlog_stop(). There
 * are rings for N_WORKERS workers and one for the main thread. On success *RET is the caller's.
 * Errors: -ENOMEM, or what eventfd(2) or pthread_create(3) said. All signals should be blocked
 * already. */
int connlog_start(struct connlog **ret, struct log *log, unsigned n_workers,
                  const struct connlog_options *options);

/* Changes what is wanted from now on; what was handed over before is still written. Only for the
 * main thread. */
void connlog_configure(struct connlog *connlog, const struct connlog_options *options);

/* Whether there is to be an entry for each connection; for any thread. */
bool connlog_wants_connections(const struct connlog *connlog);

/* How many entries for connections were left out so far, for whatever reason; for any thread. It
 * never becomes less. */
uint64_t connlog_left_out(const struct connlog *connlog);

/* Writes what is still in the rings, ends the thread and frees everything. The threads that log
 * must have ended. If the journal refuses entries to the end, tries to say past it how many are
 * lost. If the log stands still until DEADLINE (CLOCK_MONOTONIC microseconds), tries to say past it
 * how many entries are lost, returns -ETIMEDOUT and leaves the thread and its memory as they are:
 * the process is about to exit. */
int connlog_stop(struct connlog *connlog, uint64_t deadline_usec);

/* The same for a log that some thread may still use: nothing is freed in any case, and what is
 * handed over from now on is lost. */
int connlog_end(struct connlog *connlog, uint64_t deadline_usec);

/* Logs one connection, which should be wanted; only for the thread of that worker. Its cost is a
 * copy, or while the limit is used up only that of counting. */
void connlog_connection(struct connlog *connlog, unsigned worker,
                        const struct connlog_connection *connection);

/* Logs that a worker can't accept for want of descriptors or memory, with ERROR (positive errno);
 * only for the thread of that worker. */
void connlog_exhausted(struct connlog *connlog, unsigned worker, int error);

/* Logs that clients are accepted at ADDRESS on the socket called LISTENER; only for the main
 * thread. */
void connlog_listening(struct connlog *connlog, const char *listener, const char *address);

/* Logs a sentence, formatted as by printf(3); only for the main thread. PRIORITY and ID as for
 * log_write(). */
void connlog_message(struct connlog *connlog, int priority, const char *id, const char *format, ...)
    _printf_(4, 5);
