/* SPDX-License-Identifier: MIT */
#pragma once

/* What is counted. Every worker has counters of its own, on cache lines of its own, and is the only
 * one to write them; whoever wants a number adds them up. */

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "greetd/result.h"

/* Each counter is declared here and nowhere else. They are read in this order, so that nobody seems
 * to have ended before being accepted. */
#define METRICS_COUNTERS(X)                                                                        \
    X(ended)      /* of those accepted, how many are closed again */                               \
    X(accepted)   /* clients taken from the kernel's queue */                                      \
    X(greeted)    /* the whole greeting and the end of stream were given to the kernel */          \
    X(refused)    /* closed at once, by a limit or a network list */                               \
    X(bytes_sent) /* bytes of greetings given to the kernel */

struct metrics_counters {
#define METRICS_FIELD(name) atomic_uint_fast64_t name;
    _Alignas(64) METRICS_COUNTERS(METRICS_FIELD)
#undef METRICS_FIELD
};

/* A plain copy, or a sum. */
struct metrics_sums {
#define METRICS_FIELD(name) uint64_t name;
    METRICS_COUNTERS(METRICS_FIELD)
#undef METRICS_FIELD
};

/* Adds to a counter of the calling thread's own: a load and a store rather than one locked
 * instruction, since nobody else writes it. Release: who sees it sees what was counted before. */
static inline void metrics_add(atomic_uint_fast64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                          memory_order_release);
}

/* What one worker has counted of the clients of one listener. */
struct metrics_listener_counters {
    _Alignas(64) atomic_uint_fast64_t results[RESULT_N]; /* connections ended, by their result */
};

/* A listener's name and what is counted of it. It stays once it is there: a counter that went away
 * with a reload, or began again, would break every sum made of it. */
struct metrics_listener {
    struct metrics_listener *next;
    char *name;                                /* owned */
    struct metrics_listener_counters *workers; /* owned; one for each worker, zero at first */
};

/* The counters of all workers, side by side. */
struct metrics {
    struct metrics_counters *workers; /* owned; n of them, zero at first */
    size_t n;
    /* In no order; the main thread puts new ones in front. Released by it, so that any thread may
     * go through the list at any time. */
    _Atomic(struct metrics_listener *) listeners;
};

/* Makes room for N workers. Returns 0 or -ENOMEM. */
int metrics_init(struct metrics *metrics, size_t n);

void metrics_deinit(struct metrics *metrics);

/* The listener called NAME, which is added if it is new; borrowed until metrics_deinit(). Only for
 * the main thread. NULL if there is no memory. */
struct metrics_listener *metrics_listener(struct metrics *metrics, const char *name);

/* What all workers have counted so far; they may be counting meanwhile. */
struct metrics_sums metrics_sum(const struct metrics *metrics);

/* How many clients there are now. */
static inline uint64_t metrics_active(const struct metrics_sums *sums)
{
    return sums->accepted - sums->ended;
}
