/* SPDX-License-Identifier: MIT */

/* How much room the table of sources has, and what happens beyond it. The header of the module and
 * greetd.conf(5) have the figures. The key is not random here, so all runs are alike. */

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "greetd/guard/sources.h"

#include "support/fake.h"
#include "support/source_peers.h"

#define NOW       USEC_PER_SEC
#define CAPACITY  131076 /* 131072, in buckets of 6 */
#define N_CLIENTS 32768

static const struct source_limits five = {.max_connections = 5, NO_RATE};
/* The token bucket of a source that was admitted is not full again for an hour. */
static const struct source_limits hourly = {
    .max_connections = 5, .interval_usec = 3600 * USEC_PER_SEC, .burst = 1};

TestSuite(sources_room, .timeout = 300);

/* The key of each table. */
FAKE ssize_t getrandom(void *buffer, size_t size, unsigned flags)
{
    if (size != 16)
        return syscall(SYS_getrandom, buffer, size, flags);
    memset(buffer, 0x5a, size);
    return (ssize_t)size;
}

static enum source_verdict admit(struct sources *sources, uint32_t i,
                                 const struct source_limits *limits)
{
    struct peer peer = source_peer(i);

    return sources_admit(sources, &peer, limits, NOW);
}

ParameterizedTestParameters(sources_room, is_four_entries_for_each_connection)
{
    static uint64_t sizes[] = {1, 16384, 32768, 32769, 1048576};

    return cr_make_param_array(uint64_t, sizes, ELEMENTSOF(sizes));
}

ParameterizedTest(uint64_t *max, sources_room, is_four_entries_for_each_connection)
{
    _cleanup_(sources_freep) struct sources *sources = new_sources(*max);
    size_t wanted = *max > 32768 ? 4 * *max : 131072;

    cr_expect_geq(sources_capacity(sources), wanted);
    cr_expect_lt(sources_capacity(sources), wanted + 6);
}

ParameterizedTestParameters(sources_room, is_enough_for_max_connections_sources)
{
    static uint64_t sizes[] = {16384, 32768, 1048576};

    return cr_make_param_array(uint64_t, sizes, ELEMENTSOF(sizes));
}

ParameterizedTest(uint64_t *max, sources_room, is_enough_for_max_connections_sources)
{
    _cleanup_(sources_freep) struct sources *sources = new_sources(*max);

    for (uint32_t i = 0; i < *max; i++)
        cr_assert_eq(admit(sources, i, &five), SOURCE_ADMITTED);
    cr_expect_eq(sources_known(sources, NOW), *max);
}

Test(sources_room, forgets_fewer_than_one_in_a_thousand_of_100000_idle_sources)
{
    _cleanup_(sources_freep) struct sources *sources = new_sources(16384);

    for (uint32_t i = 0; i < 100000; i++)
        cr_assert_eq(visit(sources, i, &hourly, NOW), SOURCE_ADMITTED);
    cr_expect_lt(sources_forgotten(sources), 100);
    cr_expect_eq(sources_known(sources, NOW), 100000 - sources_forgotten(sources));
}

/* Sources with clients, which change one by one, while four times as many idle ones fill the rest.
 */
Test(sources_room, is_enough_for_nearly_all_clients_under_an_attack)
{
    _cleanup_(sources_freep) struct sources *sources = new_sources(N_CLIENTS);
    static bool is_tracked[N_CLIENTS];
    uint32_t n = 8 * N_CLIENTS, n_untracked = 0;

    for (uint32_t i = 0; i < n; i++) {
        struct peer peer = source_peer(i), former = source_peer(i - N_CLIENTS);
        if (is_tracked[i % N_CLIENTS])
            sources_release(sources, &former);
        enum source_verdict verdict = sources_admit(sources, &peer, &hourly, NOW + i);
        is_tracked[i % N_CLIENTS] = verdict == SOURCE_ADMITTED;
        n_untracked += verdict == SOURCE_UNTRACKED;
        cr_assert_leq(verdict, SOURCE_UNTRACKED, "none is refused");
        for (uint32_t j = 0; j < 4; j++)
            visit(sources, UINT32_MAX - 4 * i - j, &hourly, NOW + i);
    }
    cr_expect_gt(sources_forgotten(sources), n, "it is full");
    cr_expect_leq(n_untracked, n / 100000, "%u of %u", n_untracked, n);
}

Test(sources_room, forgets_the_sources_first_that_are_nearest_to_full)
{
    _cleanup_(sources_freep) struct sources *sources = new_sources(1);
    uint32_t n = 4 * CAPACITY;

    for (uint32_t i = 0; i < n; i++)
        cr_assert_eq(visit(sources, i, &hourly, NOW + i), SOURCE_ADMITTED);
    for (uint32_t i = n - CAPACITY / 6; i < n; i++)
        cr_assert_eq(visit(sources, i, &hourly, NOW + n), SOURCE_TOO_FAST);
    cr_expect_eq(sources_known(sources, NOW + n), n - sources_forgotten(sources));
}

Test(sources_room, of_sources_whose_bucket_is_full_is_free)
{
    _cleanup_(sources_freep) struct sources *sources = new_sources(1);

    for (uint32_t i = 0; i < 50000; i++)
        cr_assert_eq(visit(sources, i, &hourly, NOW), SOURCE_ADMITTED);
    for (uint32_t i = 50000; i < 100000; i++)
        cr_assert_eq(visit(sources, i, &hourly, 2 * hourly.interval_usec), SOURCE_ADMITTED);
    cr_expect_eq(sources_known(sources, 2 * hourly.interval_usec), 50000);
    cr_expect_eq(sources_forgotten(sources), 0);
}

Test(sources_room, refuses_nobody_when_all_entries_have_clients)
{
    _cleanup_(sources_freep) struct sources *sources = new_sources(1);
    static enum source_verdict verdicts[2 * CAPACITY];
    size_t n_admitted = 0;

    for (uint32_t i = 0; i < 2 * CAPACITY; i++) {
        verdicts[i] = admit(sources, i, &hourly);
        cr_assert_leq(verdicts[i], SOURCE_UNTRACKED);
        n_admitted += verdicts[i] == SOURCE_ADMITTED;
    }
    cr_expect_eq(sources_known(sources, NOW), n_admitted);
    cr_expect_gt(n_admitted, CAPACITY * 99 / 100);
    cr_expect_eq(sources_forgotten(sources), 0, "those with clients stay");
    cr_expect_eq(sources_untracked(sources), 2 * CAPACITY - n_admitted);
    for (uint32_t i = 0; i < 2 * CAPACITY; i++) {
        struct peer peer = source_peer(i);
        if (verdicts[i] == SOURCE_ADMITTED)
            sources_release(sources, &peer);
    }
    cr_expect_eq(sources_known(sources, 2 * hourly.interval_usec), 0);
}

Test(sources_room, takes_memory_only_as_it_is_used)
{
    _cleanup_(sources_freep) struct sources *sources = new_sources(1);
    size_t page = (size_t)sysconf(_SC_PAGESIZE), n_pages = CAPACITY / 6 * 128 / page, n = 0;
    static unsigned char pages[CAPACITY];

    cr_assert_eq(admit(sources, 1, &five), SOURCE_ADMITTED);
    cr_assert_eq(mincore(sources, n_pages * page, pages), 0);
    for (size_t i = 0; i < n_pages; i++)
        n += pages[i] & 1;
    cr_expect_leq(n, 3);
}
