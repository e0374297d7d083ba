/* SPDX-License-Identifier: MIT */
#pragma once

/* The way of every log entry while workers run: from bounded rings, one for each thread that has
 * something to say, to the log, by one thread that does nothing else. Putting an entry into a ring
 * never blocks, never allocates and never waits for journald; an entry that finds its ring full is
 * counted and the count is logged. */

#include <stdbool.h>
#include <stdint.h>

#include "greetd/connlog_entry.h"
#include "greetd/log.h"

struct connlog;

/* Starts the thread that writes to LOG, which is borrowed and its own until connlog_stop(). There
 * are rings for N_WORKERS workers and one for the main thread; CONNECTIONS says whether the
 * workers' connections are wanted. On success *RET is the caller's. Errors: -ENOMEM, or what
 * eventfd(2) or pthread_create(3) said. All signals should be blocked already. */
int connlog_start(struct connlog **ret, struct log *log, unsigned n_workers, bool connections);

/* Changes whether the workers' connections are wanted; only for the main thread. */
void connlog_configure(struct connlog *connlog, bool connections);

/* Whether there is to be an entry for each connection; for any thread. */
bool connlog_wants_connections(const struct connlog *connlog);

/* Writes what is still in the rings, ends the thread and frees everything. The threads that log
 * must have ended. If the log stands still until DEADLINE (CLOCK_MONOTONIC microseconds), returns
 * -ETIMEDOUT and leaves the thread and its memory as they are: the process is about to exit. */
int connlog_stop(struct connlog *connlog, uint64_t deadline_usec);

/* Logs one connection; only for the thread of that worker. */
void connlog_connection(struct connlog *connlog, unsigned worker,
                        const struct connlog_connection *connection);

/* Logs that a worker can't accept for want of descriptors or memory, with ERROR (positive errno);
 * only for the thread of that worker. */
void connlog_exhausted(struct connlog *connlog, unsigned worker, int error);

/* Logs that clients are accepted at ADDRESS on the socket called LISTENER, which is borrowed until
 * connlog_stop(); only for the main thread. */
void connlog_listening(struct connlog *connlog, const char *listener, const char *address);

/* Logs a sentence, formatted as by printf(3); only for the main thread. PRIORITY and ID as for
 * log_write(). */
void connlog_message(struct connlog *connlog, int priority, const char *id, const char *format, ...)
    _printf_(4, 5);
