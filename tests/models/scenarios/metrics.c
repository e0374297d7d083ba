/* SPDX-License-Identifier: MIT */

/* metrics/metrics: no count is lost, and what a reader subtracts is never negative.
 *
 * sources: metrics/metrics */

#include "greetd/metrics/metrics.h"

#include <pthread.h>
#include <string.h>

#include "../checker/scenario.h"

#define WORKERS SHORT_OR_LONG(1, 2)
#define CLIENTS 2
#define READS   2
#define USEC    METRICS_TIME_FIRST_USEC

struct worker {
    struct metrics_counters *counters;
};

static void *count_clients(void *argument)
{
    struct metrics_counters *counters = ((struct worker *)argument)->counters;

    for (unsigned i = 0; i < CLIENTS; i++) {
        metrics_add(&counters->accepted, 1);
        metrics_add(&counters->ended, 1);
    }
    return NULL;
}

static void *count_times(void *argument)
{
    for (unsigned i = 0; i < CLIENTS; i++)
        metrics_add_time(((struct worker *)argument)->counters, USEC);
    return NULL;
}

static void check_active(const struct metrics *metrics)
{
    struct metrics_sums last = {0};

    for (unsigned i = 0; i < READS; i++) {
        struct metrics_sums sums = metrics_sum(metrics);

        expect(metrics_active(&sums) <= WORKERS * CLIENTS, "negative difference");
        expect(sums.accepted >= last.accepted && sums.ended >= last.ended, "count went back");
        last = sums;
    }
}

/* As prometheus_format(): the sum was read before the buckets. */
static void check_times(const struct metrics *metrics)
{
    struct metrics_sums sums = metrics_sum(metrics);
    uint64_t n = 0;

    for (size_t i = 0; i < METRICS_TIMES; i++)
        n += metrics_times(metrics, i);
    expect(n * USEC >= sums.greeting_usec, "sum of times that are in no bucket");
}

/* Runs COUNT in each worker, and CHECK meanwhile. */
static struct metrics *run(void *(*count)(void *), void (*check)(const struct metrics *))
{
    struct metrics *metrics;
    struct worker *workers = calloc(WORKERS, sizeof(*workers));
    pthread_t threads[WORKERS];

    (void)metrics_new(&metrics, WORKERS);
    for (unsigned i = 0; i < WORKERS; i++) {
        workers[i].counters = &metrics->workers[i];
        pthread_create(&threads[i], NULL, count, &workers[i]);
    }
    check(metrics);
    for (unsigned i = 0; i < WORKERS; i++)
        pthread_join(threads[i], NULL);
    return metrics;
}

static void active_is_never_negative(void)
{
    struct metrics *metrics = run(count_clients, check_active);
    struct metrics_sums sums = metrics_sum(metrics);

    expect(sums.accepted == WORKERS * CLIENTS && sums.ended == sums.accepted, "lost count");
    metrics_free(metrics);
}

static void times_are_in_buckets(void)
{
    struct metrics *metrics = run(count_times, check_times);
    struct metrics_sums sums = metrics_sum(metrics);

    expect(sums.greeting_usec == WORKERS * CLIENTS * USEC, "lost count");
    metrics_free(metrics);
}

static void *walk_listeners(void *argument)
{
    const struct metrics *metrics = argument;

    for (const struct metrics_listener *l = metrics_first_listener(metrics); l; l = l->next) {
        expect(strlen(l->name) == 1, "listener without a name");
        expect(metrics_file_age_usec(l) == UINT64_MAX, "listener with a file");
        expect(metrics_results(metrics, l, RESULT_DELIVERED) == 0, "listener with results");
    }
    return NULL;
}

static void listeners_are_added_whole(void)
{
    struct metrics *metrics;
    pthread_t reader;

    (void)metrics_new(&metrics, 1);
    pthread_create(&reader, NULL, walk_listeners, metrics);
    (void)metrics_listener(metrics, "a");
    (void)metrics_listener(metrics, "b");
    pthread_join(reader, NULL);
    metrics_free(metrics);
}

const struct scenario scenarios[] = {
    {.name = "active_is_never_negative", .run = active_is_never_negative},
    {.name = "times_are_in_buckets", .run = times_are_in_buckets},
    {.name = "listeners_are_added_whole", .run = listeners_are_added_whole},
    {0},
};
