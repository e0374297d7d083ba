/* SPDX-License-Identifier: MIT */
#pragma once

/* The sentence and the fields of each kind of log entry. Only for the log thread. Each function
 * returns how many entries were lost, as sink_write() does. */

#include <stddef.h>
#include <stdint.h>

#include "greetd/journal/record.h"
#include "greetd/journal/sink.h"

/* Writes RECORD of a connection that WORKER has served. Fields that do not apply are omitted:
 * GREETD_REMOTE_PORT= of a Unix socket, which has GREETD_REMOTE_PID= and, if it is known,
 * GREETD_REMOTE_UID=; GREETD_REASON= of a connection that was not refused; GREETD_RTT_USEC= if it
 * is not known; and GREETD_PROXY_ADDR= of a client without a PROXY header. */
size_t entry_write_connection(struct sink *sink, unsigned worker,
                              const struct connection_record *record);

/* Writes that WORKER has paused accepting at WHEN (CLOCK_MONOTONIC microseconds), with ERROR
 * (positive errno) of accept4(2). */
size_t entry_write_accept_paused(struct sink *sink, unsigned worker, int error, uint64_t when_usec);

/* Writes that N connection entries were dropped. */
size_t entry_write_dropped(struct sink *sink, uint64_t n);

/* Writes ENTRY, which has no fields yet, about LISTENER ("": about none). */
size_t entry_write_message(struct sink *sink, const char *listener, struct sink_entry entry);
