/* SPDX-License-Identifier: MIT */

/* base/waker: no wake-up is lost, though the work itself is made visible without any order.
 *
 * sources: base/waker */

#include "greetd/base/waker.h"

#include <pthread.h>
#include <stdlib.h>

#include "../checker/scenario.h"
#include "greetd/base/clock.h"

#define WAKERS_MAX 2

struct shared {
    struct waker waker;
    unsigned n;
    atomic_uint work[WAKERS_MAX]; /* what each thread has to be done */
    unsigned to_do;               /* in each of them */
};

struct worker {
    struct shared *shared;
    unsigned index;
};

static void *make_work(void *argument)
{
    struct worker *worker = argument;
    struct shared *shared = worker->shared;

    for (unsigned i = 1; i <= shared->to_do; i++) {
        atomic_store_explicit(&shared->work[worker->index], i, memory_order_relaxed);
        waker_wake(&shared->waker);
    }
    return NULL;
}

static bool find_work(struct shared *shared, unsigned *done)
{
    bool found = false;

    for (unsigned i = 0; i < shared->n; i++) {
        unsigned n = atomic_load_explicit(&shared->work[i], memory_order_relaxed);

        found |= n != done[i];
        done[i] = n;
    }
    return found;
}

static bool is_done(const struct shared *shared, const unsigned *done)
{
    for (unsigned i = 0; i < shared->n; i++)
        if (done[i] < shared->to_do)
            return false;
    return true;
}

static void *do_work(void *argument)
{
    struct shared *shared = argument;
    unsigned done[WAKERS_MAX] = {0};

    while (!is_done(shared, done)) {
        waker_prepare(&shared->waker);
        if (find_work(shared, done))
            waker_cancel(&shared->waker);
        else
            waker_sleep(&shared->waker, USEC_INFINITY);
    }
    return NULL;
}

static void run(unsigned n, unsigned to_do)
{
    struct shared *shared = calloc(1, sizeof(*shared));
    struct worker *workers = calloc(n, sizeof(*workers));
    pthread_t threads[WAKERS_MAX];

    (void)waker_init(&shared->waker);
    shared->n = n;
    shared->to_do = to_do;
    for (unsigned i = 0; i < n; i++) {
        workers[i] = (struct worker){.shared = shared, .index = i};
        pthread_create(&threads[i], NULL, make_work, &workers[i]);
    }
    (void)do_work(shared);
    for (unsigned i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
    waker_deinit(&shared->waker);
}

static void one_thread_wakes_twice(void)
{
    run(1, 2);
}

static void two_threads_wake(void)
{
    run(2, 1);
}

const struct scenario scenarios[] = {
    {.name = "one_thread_wakes_twice", .run = one_thread_wakes_twice},
    {.name = "two_threads_wake", .run = two_threads_wake},
    {0},
};
