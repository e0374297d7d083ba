/* SPDX-License-Identifier: MIT */
#pragma once

/* The counters. Each worker has a set of its own, on cache lines of its own, and is the only thread
 * to write it; a reader adds up the sets of all workers. Reading is for any thread. */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "greetd/base/cleanup.h"
#include "greetd/metrics/result.h"
#include "greetd/net/accept_error.h"

/* The one declaration of each counter. metrics_sum() reads `ended` before `accepted`, so that their
 * difference is never negative. */
#define METRICS_COUNTERS(X)                                                                        \
    X(ended)         /* accepted connections that are closed again */                              \
    X(accepted)      /* clients taken from the kernel's queue */                                   \
    X(greeted)       /* the kernel has the whole greeting and the end of stream */                 \
    X(bytes_sent)    /* bytes of greetings given to the kernel */                                  \
    X(greeting_usec) /* time from accept(2), or the first byte of data, to the end of stream */    \
    X(log_silent)    /* silent connections that were counted here instead of logged */

/* The time of each greeting is counted in buckets whose upper bounds are powers of two, 16 us to
 * 16.8 s, so that its highest bit gives the bucket. The last bucket has no upper bound. */
#define METRICS_TIMES           22
#define METRICS_TIME_FIRST_USEC 16

/* What one worker has counted. */
struct metrics_counters {
#define METRICS_FIELD(name) atomic_uint_fast64_t name;
    _Alignas(64) METRICS_COUNTERS(METRICS_FIELD)
#undef METRICS_FIELD
        atomic_uint_fast64_t
        greeting_times[METRICS_TIMES]; /* greeted clients, by the time it took */
    atomic_uint_fast64_t accept_errors[ACCEPT_ERRORS_N];
    atomic_uint_fast64_t
        log_dropped; /* connection entries: the ring was full or the limit exceeded */
};

/* The sums over all workers. */
struct metrics_sums {
#define METRICS_FIELD(name) uint64_t name;
    METRICS_COUNTERS(METRICS_FIELD)
#undef METRICS_FIELD
};

/* Adds to a counter that only the calling thread writes, with a load and a store instead of a
 * locked instruction. Release: a thread that sees the new value also sees all that was counted
 * before it. tests/models/scenarios/metrics.c tries all executions. */
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

/* The upper bound of a bucket other than the last; the bound itself is not in it. */
static inline uint64_t metrics_time_bound_usec(size_t bucket)
{
    return (uint64_t)METRICS_TIME_FIRST_USEC << bucket;
}

/* Counts the time of one greeting: first its bucket, then the sum. */
static inline void metrics_add_time(struct metrics_counters *counters, uint64_t usec)
{
    metrics_add(&counters->greeting_times[metrics_time_bucket(usec)], 1);
    metrics_add(&counters->greeting_usec, usec);
}

/* Counts that accept4(2) failed with ERROR (positive errno), if accept_error counts it. */
void metrics_add_accept_error(struct metrics_counters *counters, int error);

/* What one worker has counted of the clients of one listener. */
struct metrics_listener_counters {
    _Alignas(64) atomic_uint_fast64_t results[RESULT_N]; /* ended connections, by result */
    atomic_uint_fast64_t refused[REFUSAL_N];             /* refused ones of them, by reason */
};

/* The table of the limits per source, as the main thread has last seen it. Relaxed: the numbers are
 * independent of each other. */
struct metrics_sources {
    atomic_uint_fast64_t known, capacity;
    atomic_uint_fast64_t forgotten; /* sources forgotten to make room for others */
    atomic_uint_fast64_t untracked; /* clients whose source found no room */
};

enum metrics_outcome { METRICS_SUCCESS, METRICS_FAILURE, METRICS_OUTCOMES };

/* The modification time of no file. */
#define METRICS_NO_FILE INT64_MAX

/* The counters of one listener. They stay until the end: a counter that vanished or began again at
 * a reload would break every sum made of it. */
struct metrics_listener {
    struct metrics_listener *next;
    char *name;                                /* owned */
    struct metrics_listener_counters *workers; /* owned; one for each worker */
    /* Written by the main thread: of the file of Watch=yes. Its modification time is that of
     * CLOCK_BOOTTIME, which may be negative, or METRICS_NO_FILE. */
    atomic_uint_fast64_t file_loads[METRICS_OUTCOMES];
    atomic_int_fast64_t file_modified_usec;
};

struct metrics {
    struct metrics_counters *workers; /* owned; n of them */
    size_t n;
    uint64_t started_usec;                          /* when counting began, since 1970 */
    atomic_uint_fast64_t reloads[METRICS_OUTCOMES]; /* written by the main thread */
    atomic_uint_fast64_t log_dropped;               /* written by the log thread; beside those of
                                                       the workers */
    struct metrics_sources sources;
    /* In no order; the main thread inserts at the front. Release and acquire, so that any thread
     * may walk the list at any time. */
    _Atomic(struct metrics_listener *) listeners;
};

/* Makes counters for N workers, all 0. On success *RET is the caller's. Errors: -ENOMEM. */
int metrics_new(struct metrics **ret, size_t n);

void metrics_free(struct metrics *metrics); /* NULL is allowed */
DEFINE_CLEANUP_FUNCTION(struct metrics, metrics_free)

/* Returns the counters of the listener NAME, added if there are none yet, and borrowed until
 * metrics_free(); NULL without memory. Only for the main thread. */
struct metrics_listener *metrics_listener(struct metrics *metrics, const char *name);

/* The first of all listeners; NULL if there is none. */
static inline struct metrics_listener *metrics_first_listener(const struct metrics *metrics)
{
    return atomic_load_explicit(&metrics->listeners, memory_order_acquire);
}

/* The sums of METRICS_COUNTERS. */
struct metrics_sums metrics_sum(const struct metrics *metrics);

/* Ended connections of LISTENER with RESULT. */
uint64_t metrics_results(const struct metrics *metrics, const struct metrics_listener *listener,
                         enum result result);

/* Clients of LISTENER refused for REFUSAL. */
uint64_t metrics_refusals(const struct metrics *metrics, const struct metrics_listener *listener,
                          enum refusal refusal);

/* Clients refused for any reason. */
uint64_t metrics_refused(const struct metrics *metrics);

/* Greetings whose time is in BUCKET. */
uint64_t metrics_times(const struct metrics *metrics, size_t bucket);

/* Failures of accept4(2) with the error that accept_error_at() has at INDEX. */
uint64_t metrics_accept_errors(const struct metrics *metrics, size_t index);

/* Connection entries that were dropped and not logged. */
uint64_t metrics_log_dropped(const struct metrics *metrics);

/* Whether a file of Watch=yes was loaded for LISTENER. */
static inline bool metrics_has_loads(const struct metrics_listener *listener)
{
    return atomic_load_explicit(&listener->file_loads[METRICS_SUCCESS], memory_order_relaxed) > 0 ||
           atomic_load_explicit(&listener->file_loads[METRICS_FAILURE], memory_order_relaxed) > 0;
}

/* The time since the file of Watch=yes was modified; USEC_INFINITY if there is none. */
uint64_t metrics_file_age_usec(const struct metrics_listener *listener);

/* Clients that are connected now. */
static inline uint64_t metrics_active(const struct metrics_sums *sums)
{
    return sums->accepted - sums->ended;
}
