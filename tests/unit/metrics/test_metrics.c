/* SPDX-License-Identifier: MIT */
#include "greetd/metrics/metrics.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <time.h>

#include "greetd/base/clock.h"
#include "greetd/metrics/result.h"
#include "greetd/net/accept_error.h"

TestSuite(metrics, .timeout = 60);

Test(metrics, sums_counters_over_all_workers)
{
    struct metrics *metrics;

    cr_assert_eq(metrics_new(&metrics, 2), 0);
    struct metrics_counters *a = &metrics->workers[0], *b = &metrics->workers[1];

    metrics_add(&a->accepted, 3);
    metrics_add(&a->bytes_sent, 18);
    metrics_add(&b->accepted, 4);
    metrics_add(&b->ended, 3);
    metrics_add(&b->greeted, 5);
    metrics_add(&b->bytes_sent, (uint64_t)1 << 40);
    struct metrics_sums sums = metrics_sum(metrics);
    metrics_free(metrics);
    cr_assert_eq(sums.accepted, 7);
    cr_assert_eq(sums.ended, 3);
    cr_assert_eq(sums.greeted, 5);
    cr_assert_eq(sums.bytes_sent, ((uint64_t)1 << 40) + 18);
}

Test(metrics, counters_of_two_threads_share_no_cache_line)
{
    struct metrics_counters counters[2];

    cr_assert_eq((uintptr_t)&counters[0] % 64, 0);
    cr_assert_eq(sizeof(counters[0]) % 64, 0);
}

/* Whether ERROR has a counter. */
static bool is_counted(int error)
{
    for (size_t i = 0; i < ACCEPT_ERRORS_N; i++)
        if (accept_error_at(i) == error)
            return true;
    return false;
}

Test(metrics, counts_every_error_that_accepting_survives)
{
    for (int error = 1; error < 200; error++) {
        enum accept_error_class class = accept_error_class(error);
        bool survived = class != ACCEPT_QUEUE_EMPTY && class != ACCEPT_SOCKET_BROKEN;

        cr_assert_eq(is_counted(error), survived && error != EINTR, "errno %d", error);
    }
}

Test(metrics, counts_accept_errors_by_errno)
{
    struct metrics *metrics;

    cr_assert_eq(metrics_new(&metrics, 2), 0);
    metrics_add_accept_error(&metrics->workers[0], EMFILE);
    metrics_add_accept_error(&metrics->workers[1], EMFILE);
    metrics_add_accept_error(&metrics->workers[1], ETIMEDOUT);
    metrics_add_accept_error(&metrics->workers[1], EINTR);
    for (size_t i = 0; i < ACCEPT_ERRORS_N; i++) {
        int error = accept_error_at(i);
        uint64_t expected = error == EMFILE ? 2 : error == ETIMEDOUT ? 1 : 0;
        cr_assert_eq(metrics_accept_errors(metrics, i), expected, "errno %d", error);
    }
    metrics_free(metrics);
}

/* The bounds are the labels of the Prometheus text. */
Test(metrics, puts_a_time_into_the_first_bucket_with_a_greater_bound)
{
    cr_assert_eq(metrics_time_bucket(0), 0);
    for (size_t bucket = 0; bucket + 1 < METRICS_TIMES; bucket++) {
        uint64_t bound = metrics_time_bound_usec(bucket);

        cr_assert_eq(bound, (uint64_t)16 << bucket);
        cr_assert_eq(metrics_time_bucket(bound - 1), bucket);
        cr_assert_eq(metrics_time_bucket(bound), bucket + 1);
    }
    cr_assert_eq(metrics_time_bucket(UINT64_MAX), METRICS_TIMES - 1);
    cr_assert_gt(metrics_time_bound_usec(METRICS_TIMES - 2), 10 * 1000000);
}

Test(metrics, sums_times_over_all_workers)
{
    struct metrics *metrics;

    cr_assert_eq(metrics_new(&metrics, 2), 0);
    metrics_add_time(&metrics->workers[0], 20);
    metrics_add_time(&metrics->workers[1], 30);
    metrics_add_time(&metrics->workers[1], 3600 * (uint64_t)1000000);
    cr_assert_eq(metrics_times(metrics, 0), 0);
    cr_assert_eq(metrics_times(metrics, 1), 2);
    cr_assert_eq(metrics_times(metrics, METRICS_TIMES - 1), 1);
    cr_assert_eq(metrics_sum(metrics).greeting_usec, 3600 * (uint64_t)1000000 + 50);
    metrics_free(metrics);
}

Test(metrics, sums_refused_clients_over_listeners_and_reasons)
{
    struct metrics *metrics;

    cr_assert_eq(metrics_new(&metrics, 2), 0);
    struct metrics_listener *a = metrics_listener(metrics, "a"),
                            *b = metrics_listener(metrics, "b");
    cr_assert_eq(metrics_refused(metrics), 0);
    metrics_add(&a->workers[0].refused[REFUSAL_NETWORK], 1);
    metrics_add(&a->workers[1].refused[REFUSAL_RATE], 2);
    metrics_add(&b->workers[1].refused[REFUSAL_CONNECTIONS], 4);
    cr_assert_eq(metrics_refused(metrics), 7);
    metrics_free(metrics);
}

Test(metrics, sums_dropped_entries_over_workers_and_the_log_thread)
{
    struct metrics *metrics;

    cr_assert_eq(metrics_new(&metrics, 2), 0);
    metrics_add(&metrics->workers[0].log_dropped, 1);
    metrics_add(&metrics->workers[1].log_dropped, 2);
    metrics_add(&metrics->log_dropped, 4);
    cr_assert_eq(metrics_log_dropped(metrics), 7);
    metrics_free(metrics);
}

Test(metrics, has_its_start_time)
{
    struct metrics *metrics;
    time_t before = time(NULL);

    cr_assert_eq(metrics_new(&metrics, 1), 0);
    /* time(2) may be late by a tick of the clock. */
    cr_assert_geq(metrics->started_usec / 1000000, (uint64_t)before);
    cr_assert_leq(metrics->started_usec / 1000000, (uint64_t)time(NULL) + 1);
    metrics_free(metrics);
}

Test(metrics, has_the_age_of_a_file_that_may_be_older_than_the_boot)
{
    struct metrics *metrics;

    cr_assert_eq(metrics_new(&metrics, 1), 0);
    struct metrics_listener *server = metrics_listener(metrics, "server");
    cr_expect_eq(metrics_file_age_usec(server), USEC_INFINITY);
    cr_expect_not(metrics_has_loads(server));
    uint64_t up_usec = clock_now_of(CLOCK_BOOTTIME);
    atomic_store(&server->file_modified_usec, -7000000);
    cr_expect_geq(metrics_file_age_usec(server), up_usec + 7000000);
    cr_expect_lt(metrics_file_age_usec(server), up_usec + 67000000);
    metrics_free(metrics);
}

struct counting {
    struct metrics_counters counters;
    atomic_bool over;
};

static void *count_clients(void *p)
{
    struct counting *counting = p;

    while (!atomic_load(&counting->over)) {
        metrics_add(&counting->counters.accepted, 1);
        metrics_add(&counting->counters.ended, 1);
    }
    return NULL;
}

/* The active clients are the accepted less the ended ones, which must never be negative. */
Test(metrics, never_shows_more_ended_than_accepted_clients)
{
    static struct counting counting;
    struct metrics_sums sums = {0};
    pthread_t thread;

    cr_assert_eq(pthread_create(&thread, NULL, count_clients, &counting), 0);
    for (int i = 0; i < 2000000 && sums.ended <= sums.accepted; i++) {
        sums = metrics_sum(&(struct metrics){.workers = &counting.counters, .n = 1});
    }
    atomic_store(&counting.over, true);
    pthread_join(thread, NULL);
    cr_assert_leq(sums.ended, sums.accepted);
}

Test(metrics, returns_the_same_listener_for_the_same_name)
{
    struct metrics *metrics;

    cr_assert_eq(metrics_new(&metrics, 2), 0);
    struct metrics_listener *server = metrics_listener(metrics, "server");
    struct metrics_listener *motd = metrics_listener(metrics, "motd");

    cr_assert_neq(server, motd);
    cr_assert_str_eq(server->name, "server");
    metrics_add(&server->workers[1].results[RESULT_DELIVERED], 3);
    cr_assert_eq(metrics_listener(metrics, "server"), server);
    cr_assert_eq(atomic_load(&server->workers[1].results[RESULT_DELIVERED]), 3);
    cr_assert_eq((uintptr_t)&server->workers[1] % 64, 0);

    metrics_add(&server->workers[0].results[RESULT_DELIVERED], 4);
    metrics_add(&server->workers[0].refused[REFUSAL_RATE], 1);
    metrics_add(&server->workers[1].refused[REFUSAL_RATE], 1);
    cr_assert_eq(metrics_results(metrics, server, RESULT_DELIVERED), 7);
    cr_assert_eq(metrics_results(metrics, server, RESULT_RESET), 0);
    cr_assert_eq(metrics_refusals(metrics, server, REFUSAL_RATE), 2);
    cr_assert_eq(metrics_refusals(metrics, motd, REFUSAL_RATE), 0);
    metrics_free(metrics);
}
