/* SPDX-License-Identifier: MIT */

/* One table of sources, used by several threads at once. A fake hash puts all sources into the same
 * two buckets, each second one in the reverse order. */

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "greetd/base/cleanup.h"
#include "greetd/guard/siphash.h"
#include "greetd/guard/sources.h"

#include "support/source_peers.h"

#define N_SOURCES 4
#define N_THREADS 4
#define N_TIMES   100000
#define N_ENTRIES 12 /* of two buckets */
#define NOW       USEC_PER_SEC

TestSuite(sources_threads, .timeout = 300);

uint64_t siphash24(const struct siphash_key *key, const void *bytes, size_t size)
{
    uint64_t value = 0;

    (void)key;
    memcpy(&value, bytes, size);
    return value % 2 == 0 ? UINT32_MAX : (uint64_t)UINT32_MAX << 32;
}

struct shared {
    struct sources *sources;
    struct source_limits limits;
    atomic_uint started;              /* threads */
    atomic_uint connected[N_SOURCES]; /* clients that a thread holds now */
    atomic_uint n_too_many, n_exceeded;
    atomic_uint n_admitted;
};

static void run_threads(struct shared *shared, void *(*run)(void *p))
{
    pthread_t threads[N_THREADS];

    for (size_t i = 0; i < N_THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, run, shared), 0);
    for (size_t i = 0; i < N_THREADS; i++)
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
}

/* A number for a thread, once it and all others run. */
static uint32_t start(struct shared *shared)
{
    uint32_t number = atomic_fetch_add(&shared->started, 1);

    while (atomic_load(&shared->started) < N_THREADS)
        sched_yield();
    return number;
}

/* Connects a client, counts it, and yields while it is connected. */
static void hold(struct shared *shared, uint32_t source)
{
    struct peer peer = source_peer(source);

    if (sources_admit(shared->sources, &peer, &shared->limits, NOW) != SOURCE_ADMITTED) {
        atomic_fetch_add(&shared->n_too_many, 1);
        return;
    }
    if (atomic_fetch_add(&shared->connected[source], 1) >= shared->limits.max_connections)
        atomic_fetch_add(&shared->n_exceeded, 1);
    sched_yield();
    atomic_fetch_sub(&shared->connected[source], 1);
    sources_release(shared->sources, &peer);
}

static void *hold_clients(void *p)
{
    struct shared *shared = p;
    uint32_t number = start(shared);

    for (uint32_t i = 0; i < N_TIMES; i++)
        hold(shared, (i + number) * (i >> 4) % N_SOURCES);
    return NULL;
}

Test(sources_threads, do_not_multiply_the_limit_of_clients)
{
    _cleanup_(sources_freep) struct sources *sources = new_sources(1);
    struct shared shared = {.sources = sources, .limits = {.max_connections = 2, NO_RATE}};

    run_threads(&shared, hold_clients);
    cr_expect_eq(atomic_load(&shared.n_exceeded), 0);
    cr_expect_gt(atomic_load(&shared.n_too_many), 0, "the limit was reached");
    cr_expect_eq(sources_known(sources, NOW), 0, "all counts are 0 again");
}

static void *visit_first(void *p)
{
    struct shared *shared = p;

    start(shared);
    for (uint32_t i = 0; i < N_TIMES; i++)
        if (visit(shared->sources, 1, &shared->limits, NOW) == SOURCE_ADMITTED)
            atomic_fetch_add(&shared->n_admitted, 1);
    return NULL;
}

Test(sources_threads, do_not_multiply_the_rate_limit)
{
    _cleanup_(sources_freep) struct sources *sources = new_sources(1);
    struct shared shared = {
        .sources = sources,
        .limits = {ANY_COUNT, .interval_usec = USEC_PER_SEC, .burst = 2 * N_TIMES},
    };

    run_threads(&shared, visit_first);
    cr_expect_eq(atomic_load(&shared.n_admitted), 2 * N_TIMES);
}

static void *visit_many(void *p)
{
    struct shared *shared = p;
    uint32_t number = start(shared);

    for (uint32_t i = 0; i < N_TIMES; i++)
        visit(shared->sources, number + N_THREADS * i, &shared->limits, NOW);
    return NULL;
}

Test(sources_threads, can_forget_sources_at_the_same_time)
{
    _cleanup_(sources_freep) struct sources *sources = new_sources(1);
    struct shared shared = {
        .sources = sources,
        .limits = {ANY_COUNT, .interval_usec = 3600 * USEC_PER_SEC, .burst = 1},
    };

    run_threads(&shared, visit_many);
    cr_expect_eq(sources_known(sources, NOW), N_ENTRIES);
    cr_expect_eq(sources_forgotten(sources), N_THREADS * N_TIMES - N_ENTRIES);
}

static void *visit_and_count(void *p)
{
    struct shared *shared = p;

    start(shared);
    for (uint32_t i = 0; i < N_TIMES / 10; i++) {
        visit(shared->sources, i, &shared->limits, NOW);
        if (i % 100 == 0 && sources_known(shared->sources, NOW) > N_ENTRIES)
            atomic_fetch_add(&shared->n_exceeded, 1);
    }
    return NULL;
}

Test(sources_threads, can_be_counted_while_others_change)
{
    _cleanup_(sources_freep) struct sources *sources = new_sources(1);
    struct shared shared = {.sources = sources, .limits = {.max_connections = 1, NO_RATE}};

    run_threads(&shared, visit_and_count);
    cr_expect_eq(atomic_load(&shared.n_exceeded), 0);
    cr_expect_eq(sources_known(sources, NOW), 0);
}
