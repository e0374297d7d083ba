/* SPDX-License-Identifier: MIT */
#include "greetd/base/waker.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>

#include "greetd/base/clock.h"

TestSuite(waker, .timeout = 60);

Test(waker, wakes_a_thread_that_is_about_to_sleep)
{
    struct waker waker;

    cr_assert_eq(waker_init(&waker), 0);
    waker_prepare(&waker);
    waker_wake(&waker);
    waker_sleep(&waker, USEC_INFINITY);
    waker_deinit(&waker);
}

Test(waker, does_nothing_to_a_thread_that_is_awake)
{
    struct waker waker;

    cr_assert_eq(waker_init(&waker), 0);
    waker_prepare(&waker);
    waker_cancel(&waker);
    waker_wake(&waker);
    waker_prepare(&waker);
    uint64_t deadline_usec = clock_now() + 20000;
    waker_sleep(&waker, deadline_usec);
    cr_assert_geq(clock_now(), deadline_usec);
    waker_deinit(&waker);
}

struct exchange {
    struct waker ping, pong;
    atomic_uint pings, pongs;
};

static void await(struct waker *waker, atomic_uint *number, unsigned n)
{
    while (atomic_load_explicit(number, memory_order_relaxed) < n) {
        waker_prepare(waker);
        if (atomic_load_explicit(number, memory_order_relaxed) < n)
            waker_sleep(waker, USEC_INFINITY);
        else
            waker_cancel(waker);
    }
}

#define EXCHANGES 20000

static void *answer(void *p)
{
    struct exchange *exchange = p;

    for (unsigned n = 1; n <= EXCHANGES; n++) {
        await(&exchange->ping, &exchange->pings, n);
        atomic_store_explicit(&exchange->pongs, n, memory_order_relaxed);
        waker_wake(&exchange->pong);
    }
    return NULL;
}

/* A lost wakeup would leave both threads asleep. */
Test(waker, loses_no_wakeup)
{
    struct exchange exchange = {.pings = 0};
    pthread_t thread;

    cr_assert_eq(waker_init(&exchange.ping), 0);
    cr_assert_eq(waker_init(&exchange.pong), 0);
    cr_assert_eq(pthread_create(&thread, NULL, answer, &exchange), 0);
    for (unsigned n = 1; n <= EXCHANGES; n++) {
        atomic_store_explicit(&exchange.pings, n, memory_order_relaxed);
        waker_wake(&exchange.ping);
        await(&exchange.pong, &exchange.pongs, n);
    }
    pthread_join(thread, NULL);
    waker_deinit(&exchange.ping);
    waker_deinit(&exchange.pong);
}

/* Two threads begin each round at the same time: one stores its work and wakes, the other prepares
 * and loads. */
struct race {
    struct waker waker;
    _Alignas(64) atomic_uint work;         /* the round that it is of */
    _Alignas(64) atomic_uint began, ended; /* the round of the thread that wakes */
};

#define ROUNDS 300000

static void spin_until(atomic_uint *number, unsigned n)
{
    for (unsigned i = 0; atomic_load(number) != n; i++)
        if (i > 1000)
            sched_yield();
}

/* Spins for a time that differs from round to round, so that the threads meet at every point. */
static void stagger(unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        atomic_signal_fence(memory_order_seq_cst);
}

/* The threads can only meet on two processors. CPU counts from the first that this thread may use.
 */
static void stay_on(int cpu)
{
    cpu_set_t all, one;

    cr_assert_eq(sched_getaffinity(0, sizeof(all), &all), 0);
    cpu %= CPU_COUNT(&all);
    CPU_ZERO(&one);
    for (size_t i = 0; i < CPU_SETSIZE && cpu >= 0; i++)
        if (CPU_ISSET(i, &all) && cpu-- == 0)
            CPU_SET(i, &one);
    cr_assert_eq(sched_setaffinity(0, sizeof(one), &one), 0);
}

static void *wake_each_round(void *p)
{
    struct race *race = p;

    stay_on(1);

    for (unsigned n = 1; n <= ROUNDS; n++) {
        spin_until(&race->began, n);
        stagger(n % 64);
        atomic_store_explicit(&race->work, n, memory_order_relaxed);
        waker_wake(&race->waker);
        atomic_store(&race->ended, n);
    }
    return NULL;
}

Test(waker, wakes_a_thread_or_lets_it_see_the_work)
{
    static struct race race;
    unsigned n_missed = 0;
    pthread_t thread;

    cr_assert_eq(waker_init(&race.waker), 0);
    cr_assert_eq(pthread_create(&thread, NULL, wake_each_round, &race), 0);
    stay_on(0);
    for (unsigned n = 1; n <= ROUNDS; n++) {
        atomic_store(&race.began, n);
        stagger(n / 64 % 64);
        waker_prepare(&race.waker);
        bool seen = atomic_load_explicit(&race.work, memory_order_relaxed) == n;
        spin_until(&race.ended, n);
        n_missed += !seen && atomic_load(&race.waker.asleep);
        waker_cancel(&race.waker);
    }
    pthread_join(thread, NULL);
    cr_assert_eq(n_missed, 0);
    waker_deinit(&race.waker);
}
