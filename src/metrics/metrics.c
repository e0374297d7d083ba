/* SPDX-License-Identifier: MIT */
#include "greetd/metrics/metrics.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "greetd/base/clock.h"

void metrics_add_accept_error(struct metrics_counters *counters, int error)
{
    size_t index = accept_error_index(error);

    if (index < ACCEPT_ERRORS_N)
        metrics_add(&counters->accept_errors[index], 1);
}

/* Allocates N elements of SIZE bytes, zeroed, each on cache lines of its own. */
static void *new_lines(size_t n, size_t size)
{
    void *lines = aligned_alloc(_Alignof(struct metrics_counters), n * size);

    return lines ? memset(lines, 0, n * size) : NULL;
}

int metrics_new(struct metrics **ret, size_t n)
{
    _cleanup_(metrics_freep) struct metrics *metrics = calloc(1, sizeof(*metrics));

    if (!metrics)
        return -ENOMEM;
    metrics->workers = new_lines(n, sizeof(*metrics->workers));
    if (n > 0 && !metrics->workers)
        return -ENOMEM;
    metrics->n = n;
    metrics->started_usec = clock_now_of(CLOCK_REALTIME);
    *ret = TAKE_PTR(metrics);
    return 0;
}

static void listener_free(struct metrics_listener *listener)
{
    free(listener->name);
    free(listener->workers);
    free(listener);
}
DEFINE_CLEANUP_FUNCTION(struct metrics_listener, listener_free)

void metrics_free(struct metrics *metrics)
{
    struct metrics_listener *next;

    if (!metrics)
        return;
    for (struct metrics_listener *l = atomic_load(&metrics->listeners); l; l = next) {
        next = l->next;
        listener_free(l);
    }
    free(metrics->workers);
    free(metrics);
}

static struct metrics_listener *find_listener(const struct metrics *metrics, const char *name)
{
    struct metrics_listener *listener =
        atomic_load_explicit(&metrics->listeners, memory_order_acquire);

    while (listener && strcmp(listener->name, name) != 0)
        listener = listener->next;
    return listener;
}

struct metrics_listener *metrics_listener(struct metrics *metrics, const char *name)
{
    struct metrics_listener *found = find_listener(metrics, name);
    if (found)
        return found;

    _cleanup_(listener_freep) struct metrics_listener *listener = calloc(1, sizeof(*listener));
    if (!listener)
        return NULL;
    listener->name = strdup(name);
    listener->workers = new_lines(metrics->n, sizeof(*listener->workers));
    if (!listener->name || !listener->workers)
        return NULL;
    atomic_init(&listener->file_modified_usec, METRICS_NO_FILE);
    listener->next = atomic_load_explicit(&metrics->listeners, memory_order_relaxed);
    atomic_store_explicit(&metrics->listeners, listener, memory_order_release);
    return TAKE_PTR(listener);
}

static void collect(struct metrics_sums *sums, const struct metrics_counters *counters)
{
#define METRICS_COLLECT(name)                                                                      \
    sums->name += atomic_load_explicit(&counters->name, memory_order_acquire);
    METRICS_COUNTERS(METRICS_COLLECT)
#undef METRICS_COLLECT
}

struct metrics_sums metrics_sum(const struct metrics *metrics)
{
    struct metrics_sums sums = {0};

    for (size_t i = 0; i < metrics->n; i++)
        collect(&sums, &metrics->workers[i]);
    return sums;
}

/* Acquire: pairs with metrics_add(). */
#define SUM_OVER(workers, n, counter)                                                              \
    __extension__({                                                                                \
        uint64_t _sum = 0;                                                                         \
        for (size_t _i = 0; _i < (n); _i++)                                                        \
            _sum += atomic_load_explicit(&(workers)[_i].counter, memory_order_acquire);            \
        _sum;                                                                                      \
    })

uint64_t metrics_results(const struct metrics *metrics, const struct metrics_listener *listener,
                         enum result result)
{
    return SUM_OVER(listener->workers, metrics->n, results[result]);
}

uint64_t metrics_refusals(const struct metrics *metrics, const struct metrics_listener *listener,
                          enum refusal refusal)
{
    return SUM_OVER(listener->workers, metrics->n, refused[refusal]);
}

uint64_t metrics_refused(const struct metrics *metrics)
{
    uint64_t sum = 0;

    for (const struct metrics_listener *l = metrics_first_listener(metrics); l; l = l->next)
        for (int i = REFUSAL_NONE + 1; i < REFUSAL_N; i++)
            sum += metrics_refusals(metrics, l, (enum refusal)i);
    return sum;
}

uint64_t metrics_times(const struct metrics *metrics, size_t bucket)
{
    return SUM_OVER(metrics->workers, metrics->n, greeting_times[bucket]);
}

uint64_t metrics_accept_errors(const struct metrics *metrics, size_t index)
{
    return SUM_OVER(metrics->workers, metrics->n, accept_errors[index]);
}

uint64_t metrics_log_dropped(const struct metrics *metrics)
{
    return atomic_load_explicit(&metrics->log_dropped, memory_order_acquire) +
           SUM_OVER(metrics->workers, metrics->n, log_dropped);
}

uint64_t metrics_file_age_usec(const struct metrics_listener *listener)
{
    int64_t modified = atomic_load_explicit(&listener->file_modified_usec, memory_order_relaxed);

    return modified == METRICS_NO_FILE
               ? USEC_INFINITY
               : (uint64_t)((int64_t)clock_now_of(CLOCK_BOOTTIME) - modified);
}
