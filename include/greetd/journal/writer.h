/* SPDX-License-Identifier: MIT */
#pragma once

/* The thread that writes the log, and what it shares with those who have something to say; the way
 * in for them is connlog.h. It takes their entries out of the rings in turn, lets those for
 * connections through as far as the limit goes, and announces what was left out. */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "greetd/base/ring.h"
#include "greetd/base/waker.h"
#include "greetd/journal/entry.h"
#include "greetd/journal/rate_limit.h"
#include "greetd/journal/sink.h"

enum log_record_kind { LOG_RECORD_CONNECTION, LOG_RECORD_ACCEPT_PAUSED };

/* What a worker has to say. */
struct log_record {
    enum log_record_kind kind;
    int error;          /* of LOG_RECORD_ACCEPT_PAUSED */
    uint64_t when_usec; /* of that, too; CLOCK_MONOTONIC */
    struct logger_log_connection connection;
};

/* What the main thread has to say. */
struct logger_log {
    int priority;
    const char *id;
    uint64_t when_usec;           /* CLOCK_MONOTONIC */
    char listener[SINK_NAME_MAX]; /* "" if it is not about one */
    char text[SINK_MESSAGE_MAX];
};

/* What one thread has to say. Only that thread writes its counters. */
struct log_producer {
    struct ring ring;
    _Alignas(RING_CACHE_LINE) atomic_uint_fast64_t connections; /* handed over to be logged */
    atomic_uint_fast64_t left_out;                              /* of those */
    atomic_uint_fast64_t messages_left_out;                     /* the ring was full */
};

struct logger {
    struct sink *sink;
    pthread_t thread;
    struct waker waker;
    int ended_fd; /* an eventfd, written when the thread has written everything */
    atomic_bool stop;
    /* Relaxed, as they are about no other data. A mixture of an old and a new limit is a limit too,
     * and in force for one round of the thread at most. */
    atomic_bool connections; /* wanted */
    atomic_int level;
    atomic_uint_fast64_t interval_usec, burst;
    /* The limit lets nothing through until the thread says otherwise, so that workers count their
     * connections themselves instead of waking it for each. Relaxed: who sees it late hands its
     * record to the thread, where it is counted just as well. */
    atomic_bool exhausted;
    /* What the thread writes, apart from what workers read. */
    _Alignas(RING_CACHE_LINE) struct rate_limit books;
    uint64_t messages_announced;    /* of those left out */
    atomic_uint_fast64_t left_out;  /* connections that the thread has left out */
    atomic_uint_fast64_t accounted; /* connections that were written or announced */
    struct log_producer messages;   /* of the main thread */
    unsigned n_workers;
    struct log_producer workers[]; /* of records */
};

/* How many connections were left out so far, whether beyond the limit, for want of room in a ring,
 * or because the log did not take the entry; for any thread. */
uint64_t writer_dropped(const struct logger *logger);

/* What the thread runs; ARGUMENT is the struct connlog. Ends when it is told to stop and everything
 * is written, which it tells by ended_fd. */
void *writer_run(void *argument);
