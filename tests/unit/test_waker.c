/* SPDX-License-Identifier: MIT */
#include "greetd/waker.h"

#include <criterion/criterion.h>
#include <pthread.h>

#include "greetd/deadline.h"

TestSuite(waker, .timeout = 60);

Test(waker, wakes_a_thread_that_is_about_to_sleep)
{
    struct waker waker;

    cr_assert_eq(waker_init(&waker), 0);
    waker_prepare(&waker);
    waker_wake(&waker);
    waker_sleep(&waker, DEADLINE_NEVER);
    waker_deinit(&waker);
}

Test(waker, leaves_a_thread_that_is_awake_alone)
{
    struct waker waker;

    cr_assert_eq(waker_init(&waker), 0);
    waker_prepare(&waker);
    waker_cancel(&waker);
    waker_wake(&waker);
    waker_prepare(&waker);
    uint64_t deadline_usec = deadline_now() + 20000;
    waker_sleep(&waker, deadline_usec);
    cr_assert_geq(deadline_now(), deadline_usec);
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
            waker_sleep(waker, DEADLINE_NEVER);
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

/* One that was missed would leave both asleep. */
Test(waker, misses_no_call)
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
