/* SPDX-License-Identifier: MIT */
#pragma once

/* What the log says of each thing that happens while workers run: the sentence and the fields. Only
 * for the thread that writes the log. Each returns how many entries are lost, as sink_write() does;
 * times are CLOCK_MONOTONIC in microseconds. */

#include <stddef.h>
#include <stdint.h>

#include "greetd/journal/sink.h"
#include "greetd/metrics/result.h"
#include "greetd/net/peer.h"

/* One client's whole story, written when its connection has ended. */
struct logger_log_connection {
    const char *listener; /* borrowed; must stay valid until logger_stop() */
    struct peer peer;
    uint64_t number;     /* GREETD_CONNECTION= */
    uint64_t ended_usec; /* CLOCK_MONOTONIC: when */
    uint64_t duration_usec;
    uint64_t bytes, bytes_acked; /* given to the kernel, acknowledged by the client's end */
    const char *reason;          /* static: why it was refused; NULL if it was not */
    enum result result;
};

/* Writes that WORKER had this connection. What does not apply to the peer or the result is left
 * out: GREETD_REMOTE_PORT= of a Unix socket, whose peer has GREETD_REMOTE_PID= and, if it is known,
 * GREETD_REMOTE_UID= instead, and GREETD_REASON= of what was not refused. */
size_t entry_write_connection(struct sink *sink, unsigned worker,
                              const struct logger_log_connection *connection);

/* Writes that WORKER has paused accepting at WHEN, with ERROR (positive errno) of accept4(2). */
size_t entry_write_accept_paused(struct sink *sink, unsigned worker, int error, uint64_t when_usec);

/* Writes that N entries for connections were left out. */
size_t entry_write_dropped(struct sink *sink, uint64_t n);

/* Writes ENTRY, which has no fields yet, about LISTENER ("" if it is not about one). */
size_t entry_write_message(struct sink *sink, const char *listener, struct sink_entry entry);
