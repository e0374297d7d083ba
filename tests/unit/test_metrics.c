/* SPDX-License-Identifier: MIT */
#include "greetd/metrics.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdbool.h>

TestSuite(metrics, .timeout = 60);

Test(metrics, sums_are_over_all_counters)
{
    struct metrics metrics;

    cr_assert_eq(metrics_init(&metrics, 2), 0);
    struct metrics_counters *a = &metrics.workers[0], *b = &metrics.workers[1];

    metrics_add(&a->accepted, 3);
    metrics_add(&a->bytes_sent, 18);
    metrics_add(&b->accepted, 4);
    metrics_add(&b->ended, 3);
    metrics_add(&b->greeted, 5);
    metrics_add(&b->refused, 6);
    metrics_add(&b->bytes_sent, (uint64_t)1 << 40);
    struct metrics_sums sums = metrics_sum(&metrics);
    metrics_deinit(&metrics);
    cr_assert_eq(sums.accepted, 7);
    cr_assert_eq(sums.ended, 3);
    cr_assert_eq(sums.greeted, 5);
    cr_assert_eq(sums.refused, 6);
    cr_assert_eq(sums.bytes_sent, ((uint64_t)1 << 40) + 18);
}

Test(metrics, counters_of_two_threads_share_no_cache_line)
{
    struct metrics_counters counters[2];

    cr_assert_eq((uintptr_t)&counters[0] % 64, 0);
    cr_assert_eq(sizeof(counters[0]) % 64, 0);
}

struct coming_and_going {
    struct metrics_counters counters;
    atomic_bool over;
};

static void *come_and_go(void *p)
{
    struct coming_and_going *c = p;

    while (!atomic_load(&c->over)) {
        metrics_add(&c->counters.accepted, 1);
        metrics_add(&c->counters.ended, 1);
    }
    return NULL;
}

/* Those who are there now are accepted less ended, which must not turn out below zero. */
Test(metrics, nobody_ends_before_being_accepted)
{
    static struct coming_and_going c;
    struct metrics_sums sums = {0};
    pthread_t thread;

    cr_assert_eq(pthread_create(&thread, NULL, come_and_go, &c), 0);
    for (int i = 0; i < 2000000 && sums.ended <= sums.accepted; i++) {
        sums = metrics_sum(&(struct metrics){.workers = &c.counters, .n = 1});
    }
    atomic_store(&c.over, true);
    pthread_join(thread, NULL);
    cr_assert_leq(sums.ended, sums.accepted);
}

Test(metrics, a_listener_is_one_and_the_same_whenever_it_is_asked_for)
{
    struct metrics metrics;

    cr_assert_eq(metrics_init(&metrics, 2), 0);
    struct metrics_listener *server = metrics_listener(&metrics, "server");
    struct metrics_listener *motd = metrics_listener(&metrics, "motd");

    cr_assert_neq(server, motd);
    cr_assert_str_eq(server->name, "server");
    metrics_add(&server->workers[1].results[RESULT_DELIVERED], 3);
    cr_assert_eq(metrics_listener(&metrics, "server"), server);
    cr_assert_eq(atomic_load(&server->workers[1].results[RESULT_DELIVERED]), 3);
    cr_assert_eq((uintptr_t)&server->workers[1] % 64, 0);
    metrics_deinit(&metrics);
}
