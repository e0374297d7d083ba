/* SPDX-License-Identifier: MIT */
#pragma once

/* What is counted. Every worker has counters of its own, on cache lines of its own, and is the only
 * one to write them; a reader adds them up. */

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "greetd/metrics/result.h"
#include "greetd/net/accept_error.h"

/* Each counter is declared here and nowhere else. They are read in this order, so that nobody seems
 * to have ended before being accepted. */
#define METRICS_COUNTERS(X)                                                                        \
    X(ended)         /* of those accepted, how many are closed again */                            \
    X(accepted)      /* clients taken from the kernel's queue */                                   \
    X(greeted)       /* the whole greeting and the end of stream were given to the kernel */       \
    X(refused)       /* closed at once, by a limit or a network list */                            \
    X(bytes_sent)    /* bytes of greetings given to the kernel */                                  \
    X(greeting_usec) /* from accept(2), or the first byte waited for, to the end of stream */

/* How long a greeting took is counted in buckets whose upper bounds are powers of two, 16 us to
 * 16.8 s: a time's bucket is told by its highest bit. The last one has no upper bound. */
#define METRICS_TIMES           22
#define METRICS_TIME_FIRST_USEC 16

struct metrics_counters {
#define METRICS_FIELD(name) atomic_uint_fast64_t name;
    _Alignas(64) METRICS_COUNTERS(METRICS_FIELD)
#undef METRICS_FIELD
        atomic_uint_fast64_t
        greeting_times[METRICS_TIMES]; /* clients greeted, by how long it took */
    atomic_uint_fast64_t accept_errors[ACCEPT_ERRORS_N];
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

/* The bucket for a time. */
static inline size_t metrics_time_bucket(uint64_t usec)
{
    size_t bits = 64 - (size_t)__builtin_clzll(usec | (METRICS_TIME_FIRST_USEC - 1));
    size_t bucket = bits - (size_t)__builtin_ctz(METRICS_TIME_FIRST_USEC);

    return bucket < METRICS_TIMES - 1 ? bucket : METRICS_TIMES - 1;
}

/* What the times in a bucket, other than the last, are less than. */
static inline uint64_t metrics_time_bound_usec(size_t bucket)
{
    return (uint64_t)METRICS_TIME_FIRST_USEC << bucket;
}

/* Counts how long it took to greet a client. Who sees the time in the sum sees it in its bucket. */
static inline void metrics_add_time(struct metrics_counters *counters, uint64_t usec)
{
    metrics_add(&counters->greeting_times[metrics_time_bucket(usec)], 1);
    metrics_add(&counters->greeting_usec, usec);
}

/* Counts that accept4(2) failed with ERROR (positive errno), if that is one to be counted. */
void metrics_add_accept_error(struct metrics_counters *counters, int error);

/* What one worker has counted of the clients of one listener. */
struct metrics_listener_counters {
    _Alignas(64) atomic_uint_fast64_t results[RESULT_N]; /* connections ended, by their result */
    atomic_uint_fast64_t refused[REFUSAL_N];             /* of those, refused, by the reason */
};

/* A listener's name and what is counted of it. It stays once it is there: a counter that went away
 * with a reload, or began again, would break every sum made of it. */
struct metrics_listener {
    struct metrics_listener *next;
    char *name;                                /* owned */
    struct metrics_listener_counters *workers; /* owned; one for each worker, zero at first */
};

/* How a reload went. */
enum metrics_reload { METRICS_RELOAD_SUCCESS, METRICS_RELOAD_FAILURE, METRICS_RELOADS };

/* The counters of all workers, side by side, and those of the main thread. */
struct metrics {
    struct metrics_counters *workers; /* owned; n of them, zero at first */
    size_t n;
    uint64_t started_usec;                         /* when counting began, since 1970 */
    atomic_uint_fast64_t reloads[METRICS_RELOADS]; /* the main thread's own */
    /* In no order; the main thread puts new ones in front. Released by it, so that any thread may
     * go through the list at any time. */
    _Atomic(struct metrics_listener *) listeners;
};

/* Makes room for N workers, who begin to count now. Returns 0 or -ENOMEM. */
int metrics_init(struct metrics *metrics, size_t n);

void metrics_deinit(struct metrics *metrics);

/* The listener called NAME, which is added if it is new; borrowed until metrics_deinit(). Only for
 * the main thread. NULL if there is no memory. */
struct metrics_listener *metrics_listener(struct metrics *metrics, const char *name);

/* The first of all listeners, for any thread; NULL if there is none. */
static inline const struct metrics_listener *metrics_first_listener(const struct metrics *metrics)
{
    return atomic_load_explicit(&metrics->listeners, memory_order_acquire);
}

/* What all workers have counted so far; they may be counting meanwhile. */
struct metrics_sums metrics_sum(const struct metrics *metrics);

/* What all workers have counted of LISTENER, by result and by reason. */
uint64_t metrics_results(const struct metrics *metrics, const struct metrics_listener *listener,
                         enum result result);
uint64_t metrics_refusals(const struct metrics *metrics, const struct metrics_listener *listener,
                          enum refusal refusal);

/* How many greetings of all workers fell into BUCKET. */
uint64_t metrics_times(const struct metrics *metrics, size_t bucket);

/* How often accept4(2) failed for all workers with the error at INDEX of accept_error_at(). */
uint64_t metrics_accept_errors(const struct metrics *metrics, size_t index);

/* How many clients there are now. */
static inline uint64_t metrics_active(const struct metrics_sums *sums)
{
    return sums->accepted - sums->ended;
}
