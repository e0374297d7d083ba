/* SPDX-License-Identifier: MIT */
#pragma once

/* What the modules of one worker share, and what all workers share. Only the worker's own thread
 * uses its context. */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "greetd/base/buffer.h"
#include "greetd/greeting/fortune.h"
#include "greetd/greeting/wall_clock.h"
#include "greetd/guard/sources.h"
#include "greetd/journal/logger.h"
#include "greetd/metrics/metrics.h"
#include "greetd/net/address.h"

/* Shared by the workers of a pool, which owns it. */
struct worker_shared {
    struct metrics *metrics; /* borrowed; the sums over all workers are those of the pool */
    struct logger *logger;   /* borrowed */
    struct sources *sources; /* owned: the table of the limits per source */
    uint64_t max_connections;
    pid_t pid; /* of this process */
    /* When a worker last paused accepting, so that an episode is logged once. Relaxed: nothing
     * depends on it. */
    atomic_uint_fast64_t paused_usec;
    /* When a worker has last asked the others to look into the queues of all shards. Nothing
     * depends on its order. */
    atomic_uint_fast64_t asked_usec;
    /* Whether the main thread wants changed_fd written when anything is counted. Relaxed: the
     * fences of pool_sums_and_watch() and notify_activity() give the order. */
    atomic_bool wants_activity;
    int changed_fd; /* owned: an eventfd that wakes the main thread */
    int look_fd;    /* owned: an eventfd that has every worker call acceptor_look_again() */
};

struct worker_context {
    struct worker_shared *shared; /* borrowed */
    unsigned index;
    int epoll_fd;                      /* owned by the worker */
    struct metrics_counters *counters; /* borrowed: this worker's */
    struct buffer rendered;            /* the greeting with variables of one client at a time */
    struct address local;              /* the own one of one client at a time */
    struct wall_clock clock;           /* the time in these greetings */
    struct fortune_random random;      /* for those of a fortune file */
    bool stopping;                     /* since WORKER_STOP: no client waits for DripSec= */
};

/* The kinds of sources in a worker's epoll. */
enum event_kind {
    EVENT_MAILBOX,  /* the worker has a message */
    EVENT_LOOK,     /* another worker asks to look into the queues again */
    EVENT_LISTENER, /* a client may be in a queue; the index is that of the listener */
    EVENT_CLIENT,   /* the index is that of the client in the table */
};

/* Makes the epoll_data.u64 of a source. */
static inline uint64_t event_pack(enum event_kind kind, size_t index)
{
    return (uint64_t)kind << 32 | (uint32_t)index;
}

static inline enum event_kind event_kind(uint64_t packed)
{
    return (enum event_kind)(packed >> 32);
}

static inline size_t event_index(uint64_t packed)
{
    return (uint32_t)packed;
}
