/* SPDX-License-Identifier: MIT */
#pragma once

/* The log thread: it takes records out of the ring of each producer in turn, applies the rate limit
 * to those of connections, writes entries to the sink, and announces how many were dropped. What it
 * shares with the producers is here; they write into it through logger. */

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "greetd/base/ring.h"
#include "greetd/base/waker.h"
#include "greetd/journal/rate_limit.h"
#include "greetd/journal/record.h"
#include "greetd/journal/sink.h"
#include "greetd/metrics/metrics.h"

enum log_record_kind { LOG_RECORD_CONNECTION, LOG_RECORD_ACCEPT_PAUSED };

/* A record of a worker. */
struct log_record {
    enum log_record_kind kind;
    int error;          /* of LOG_RECORD_ACCEPT_PAUSED */
    uint64_t when_usec; /* of LOG_RECORD_ACCEPT_PAUSED; CLOCK_MONOTONIC */
    struct connection_record connection;
};

/* A record of the main thread. */
struct log_message {
    int priority;
    const char *id;
    uint64_t when_usec;           /* CLOCK_MONOTONIC */
    char listener[SINK_NAME_MAX]; /* "": the message is about none */
    char text[SINK_MESSAGE_MAX];
};

/* A thread that logs. Only that thread writes the counters, by metrics_add(). */
struct log_producer {
    struct ring ring;
    _Alignas(RING_CACHE_LINE) atomic_uint_fast64_t connections; /* logged or dropped */
    atomic_uint_fast64_t messages_dropped; /* other records; the ring was full */
};

struct logger {
    struct sink *sink;       /* borrowed */
    struct metrics *metrics; /* borrowed */
    pthread_t thread;
    struct waker waker;
    int ended_fd; /* owned: an eventfd, written when the thread has written everything */
    /* Set once, by logger_end(). Sequentially consistent: the thread looks at it rarely. */
    atomic_bool stop;
    /* Relaxed: no order between them is needed. A mixture of an old and a new limit is a limit too,
     * and in force for one round of the thread at most. */
    atomic_int level;
    atomic_uint_fast64_t interval_usec, burst;
    /* While the limit is exceeded, workers count their connections themselves instead of waking the
     * thread for each. Relaxed: a worker that sees the change late hands its record to the thread,
     * which counts it just as well. */
    atomic_bool limit_exceeded;
    /* What the thread writes, apart from what workers read. */
    _Alignas(RING_CACHE_LINE) struct rate_limit limit;
    uint64_t messages_announced;    /* of those dropped */
    atomic_uint_fast64_t accounted; /* connections written or announced; by metrics_add() */
    struct log_producer main;       /* of struct log_message */
    struct log_producer workers[];  /* of struct log_record; one for each of metrics->n */
};

/* The main function of the thread; ARGUMENT is the struct logger. Returns after LOGGER->stop, when
 * everything is written, and writes ended_fd. */
void *writer_run(void *argument);
