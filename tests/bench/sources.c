/* SPDX-License-Identifier: MIT */

/* What the limits per source cost: the processor time of admitting and releasing one client, in
 * nanoseconds, beside two floors.
 *
 *     bench-sources
 *
 * Each figure is the median of some runs, with the least and the most. In a run of two threads it
 * is the mean of both. Takes about half a minute. */

#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "greetd/guard/siphash.h"
#include "greetd/guard/sources.h"

#define N_KNOWN  100000
#define N_MANY   10000000
#define N_TIMES  1000000 /* clients in a run, for each thread */
#define N_RUNS   15
#define NOW_USEC 1000000

/* No client is refused, and each token bucket stays in use. */
static const struct source_limits limits = {
    .max_connections = 1000, .interval_usec = 3600000000, .burst = 4294967295};

/* What one thread does. */
struct load {
    struct sources *sources;
    size_t processor;
    uint32_t first, n; /* its sources */
    void (*run)(struct load *load);
    double nsec; /* for each client */
    _Alignas(64) atomic_uint counter;
    uint64_t hashes;
};

static uint64_t thread_nsec(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* The number I of a sequence that looks random, below N. */
static uint32_t pick(uint32_t i, uint32_t n)
{
    uint64_t x = (i + UINT64_C(1)) * UINT64_C(0x9e3779b97f4a7c15);

    x = (x ^ x >> 32) * UINT64_C(0xd6e8feb86659fd93);
    return (uint32_t)((x >> 32) * n >> 32);
}

static void run_counter(struct load *load)
{
    for (uint32_t i = 0; i < N_TIMES; i++) {
        atomic_fetch_add(&load->counter, 1);
        atomic_fetch_sub(&load->counter, 1);
    }
}

static void run_hash(struct load *load)
{
    static const struct siphash_key key = {.k0 = 1, .k1 = 2};

    for (uint64_t i = 0; i < N_TIMES; i++) {
        load->hashes ^= siphash24(&key, &i, sizeof(i));
        load->hashes ^= siphash24(&key, &load->hashes, sizeof(i));
    }
}

static void run_clients(struct load *load)
{
    for (uint32_t i = 0; i < N_TIMES; i++) {
        struct peer peer = {.family = AF_INET, .in.s_addr = load->first + pick(i, load->n)};

        if (sources_admit(load->sources, &peer, &limits, NOW_USEC) != SOURCE_ADMITTED)
            abort();
        sources_release(load->sources, &peer);
    }
}

static void run_scan(struct load *load)
{
    if (sources_known(load->sources, NOW_USEC) == 0)
        abort();
}

/* Keeps the calling thread on one processor, if the machine has it: else two threads might share
 * one, and never meet. */
static void pin(size_t processor)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(processor, &set);
    (void)sched_setaffinity(0, sizeof(set), &set);
}

static void *thread_run(void *p)
{
    struct load *load = p;

    pin(load->processor);
    uint64_t began = thread_nsec();
    load->run(load);
    load->nsec = (double)(thread_nsec() - began) / N_TIMES;
    return NULL;
}

/* Runs both loads at the same time, or only the first. Returns their mean. */
static double run_threads(struct load *loads, size_t n)
{
    pthread_t other;

    if (n == 2 && pthread_create(&other, NULL, thread_run, &loads[1]) != 0)
        abort();
    thread_run(&loads[0]);
    if (n == 1)
        return loads[0].nsec;
    pthread_join(other, NULL);
    return (loads[0].nsec + loads[1].nsec) / 2;
}

static int compare(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static void measure(const char *name, struct load *loads, size_t n, double factor)
{
    double runs[N_RUNS];

    for (size_t i = 0; i < N_RUNS; i++)
        runs[i] = run_threads(loads, n) * factor;
    qsort(runs, N_RUNS, sizeof(runs[0]), compare);
    printf("%-50s %8.1f (%.1f to %.1f)\n", name, runs[N_RUNS / 2], runs[0], runs[N_RUNS - 1]);
}

static void measure_one(const char *name, struct sources *sources, uint32_t n,
                        void (*run)(struct load *load), double factor)
{
    struct load load = {.sources = sources, .n = n, .run = run};

    measure(name, &load, 1, factor);
}

/* Two threads, whose sources begin at 0 and at SECOND. */
static void measure_two(const char *name, struct sources *sources, uint32_t n, uint32_t second)
{
    struct load loads[2] = {
        {.sources = sources, .n = n, .run = run_clients},
        {.sources = sources, .processor = 1, .first = second, .n = n, .run = run_clients}};

    measure(name, loads, 2, 1);
}

int main(void)
{
    _cleanup_(sources_freep) struct sources *sources = NULL;
    struct load warm_up = {.n = N_KNOWN};

    if (sources_new(&sources, 16384) < 0)
        return 1;
    puts("ns for each client, admitted and released");
    measure_one("floor: two atomic additions", sources, 1, run_counter, 1);
    measure_one("floor: two hashes", sources, 1, run_hash, 1);
    measure_one("one source", sources, 1, run_clients, 1);
    measure_two("two threads, one source", sources, 1, 0);
    measure_two("two threads, one source each", sources, 1, 1);
    warm_up.sources = sources;
    run_clients(&warm_up);
    measure_one("100,000 sources", sources, N_KNOWN, run_clients, 1);
    measure_two("two threads, the same 100,000 sources", sources, N_KNOWN, 0);
    printf("%zu sources known, %" PRIu64 " forgotten early\n", sources_known(sources, NOW_USEC),
           sources_forgotten(sources));
    measure_one("10,000,000 sources", sources, N_MANY, run_clients, 1);
    measure_two("two threads, the same 10,000,000 sources", sources, N_MANY, 0);
    puts("us for all entries");
    measure_one("sources_known()", sources, 1, run_scan, N_TIMES / 1e3);
    return 0;
}
