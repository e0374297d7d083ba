/* SPDX-License-Identifier: MIT */

/* The checker itself: the small programs by which memory models are compared have the outcomes that
 * the model of checker/memory.h allows, all of them and no other.
 *
 * sources: */

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "../checker/scenario.h"

#define THREADS_MAX 3

/* The objects, and what the threads have read. */
struct shared {
    atomic_uint x, y;
    unsigned a, b, c, d;
};

static void load(atomic_uint *object, unsigned *ret)
{
    *ret = atomic_load_explicit(object, memory_order_relaxed);
}

static void acquire(atomic_uint *object, unsigned *ret)
{
    *ret = atomic_load_explicit(object, memory_order_acquire);
}

static void store(atomic_uint *object, unsigned value)
{
    atomic_store_explicit(object, value, memory_order_relaxed);
}

static void release(atomic_uint *object, unsigned value)
{
    atomic_store_explicit(object, value, memory_order_release);
}

static void add(atomic_uint *object, unsigned value)
{
    (void)atomic_fetch_add_explicit(object, value, memory_order_relaxed);
}

static void exchange(atomic_uint *object, unsigned value, unsigned *ret)
{
    *ret = 0;
    (void)atomic_compare_exchange_strong_explicit(object, ret, value, memory_order_relaxed,
                                                  memory_order_relaxed);
}

#define fence(order) atomic_thread_fence(memory_order_##order)

/* A thread that does STEPS with the shared struct S. */
#define THREAD(name, steps)                                                                        \
    static void *name(void *argument)                                                              \
    {                                                                                              \
        struct shared *s = argument;                                                               \
                                                                                                   \
        steps;                                                                                     \
        return NULL;                                                                               \
    }

typedef void *thread_main(void *argument);

/* Runs the threads; the first that is NULL ends the list. */
static struct shared *run(thread_main *first, thread_main *second, thread_main *third)
{
    thread_main *mains[THREADS_MAX] = {first, second, third};
    pthread_t threads[THREADS_MAX];
    struct shared *s = calloc(1, sizeof(*s));
    unsigned n = 0;

    for (; n < THREADS_MAX && mains[n]; n++)
        pthread_create(&threads[n], NULL, mains[n], s);
    for (unsigned i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
    return s;
}

/* A test with two results, each 0 or 1: outcome 0 to 3. */
#define TEST(name, first, second)                                                                  \
    THREAD(name##_first, first)                                                                    \
    THREAD(name##_second, second)                                                                  \
    static void name(void)                                                                         \
    {                                                                                              \
        const struct shared *s = run(name##_first, name##_second, NULL);                           \
        observe(2 * s->a + s->b);                                                                  \
    }

TEST(store_buffering, store(&s->x, 1); load(&s->y, &s->a), store(&s->y, 1); load(&s->x, &s->b))

TEST(store_buffering_release, release(&s->x, 1); acquire(&s->y, &s->a), release(&s->y, 1);
     acquire(&s->x, &s->b))

TEST(store_buffering_fences, store(&s->x, 1); fence(seq_cst); load(&s->y, &s->a), store(&s->y, 1);
     fence(seq_cst); load(&s->x, &s->b))

TEST(store_buffering_one_fence, store(&s->x, 1); fence(seq_cst);
     load(&s->y, &s->a), store(&s->y, 1); fence(acq_rel); load(&s->x, &s->b))

TEST(message_passing, store(&s->x, 1); store(&s->y, 1), load(&s->y, &s->a); load(&s->x, &s->b))

TEST(message_passing_release, store(&s->x, 1); release(&s->y, 1), acquire(&s->y, &s->a);
     load(&s->x, &s->b))

TEST(message_passing_no_acquire, store(&s->x, 1); release(&s->y, 1), load(&s->y, &s->a);
     load(&s->x, &s->b))

TEST(message_passing_fences, store(&s->x, 1); fence(release); store(&s->y, 1), load(&s->y, &s->a);
     fence(acquire); load(&s->x, &s->b))

/* C17 allows the outcome 3 as well: the model leaves it out. */
TEST(load_buffering, load(&s->x, &s->a); store(&s->y, 1), load(&s->y, &s->b); store(&s->x, 1))

TEST(coherence, store(&s->x, 1), load(&s->x, &s->a); load(&s->x, &s->b))

TEST(compare_exchange, exchange(&s->x, 1, &s->a), exchange(&s->x, 1, &s->b))

THREAD(writes_x_y, store(&s->x, 1); store(&s->y, 2))
THREAD(writes_y_x, store(&s->y, 1); store(&s->x, 2))

static void two_stores_each(void)
{
    struct shared *s = run(writes_x_y, writes_y_x, NULL);

    observe(2 * (s->x - 1) + s->y - 1);
}

THREAD(adds, add(&s->x, 1))

static void no_addition_is_lost(void)
{
    struct shared *s = run(adds, adds, adds);

    observe(s->x);
}

THREAD(writes_both, store(&s->x, 1); release(&s->y, 1))
THREAD(adds_y, add(&s->y, 1))
THREAD(stores_y, store(&s->y, 2))
THREAD(reads_both, acquire(&s->y, &s->a); load(&s->x, &s->b))

/* 0: the last store of y was not seen, 1: x was seen with it, 2: x was not seen. */
static void observe_sequence(const struct shared *s)
{
    observe(s->a < 2 ? 0 : s->b ? 1 : 2);
}

static void release_sequence(void)
{
    observe_sequence(run(writes_both, adds_y, reads_both));
}

static void no_release_sequence(void)
{
    observe_sequence(run(writes_both, stores_y, reads_both));
}

/* The first thread of these tests is the one that starts the others. */
#define READ_STORES(name, between)                                                                 \
    THREAD(name##_reader, acquire(&s->y, &s->c); between; acquire(&s->x, &s->d))                   \
    THREAD(name##_x, release(&s->x, 1))                                                            \
    THREAD(name##_y, release(&s->y, 1))                                                            \
    static void name(void)                                                                         \
    {                                                                                              \
        struct shared *s = calloc(1, sizeof(*s));                                                  \
        pthread_t threads[THREADS_MAX];                                                            \
        pthread_create(&threads[0], NULL, name##_x, s);                                            \
        pthread_create(&threads[1], NULL, name##_y, s);                                            \
        pthread_create(&threads[2], NULL, name##_reader, s);                                       \
        acquire(&s->x, &s->a);                                                                     \
        between;                                                                                   \
        acquire(&s->y, &s->b);                                                                     \
        for (unsigned i = 0; i < THREADS_MAX; i++)                                                 \
            pthread_join(threads[i], NULL);                                                        \
        observe(s->a && !s->b && s->c && !s->d);                                                   \
    }

READ_STORES(two_orders_of_stores, (void)0)
READ_STORES(one_order_of_stores, fence(seq_cst))

/* The outcomes as bits. */
const struct scenario scenarios[] = {
    {"store_buffering", store_buffering, 0xf},
    {"store_buffering_release", store_buffering_release, 0xf},
    {"store_buffering_fences", store_buffering_fences, 0xe},
    {"store_buffering_one_fence", store_buffering_one_fence, 0xf},
    {"message_passing", message_passing, 0xf},
    {"message_passing_release", message_passing_release, 0xb},
    {"message_passing_no_acquire", message_passing_no_acquire, 0xf},
    {"message_passing_fences", message_passing_fences, 0xb},
    {"load_buffering", load_buffering, 0x7},
    {"coherence", coherence, 0xb},
    {"compare_exchange", compare_exchange, 0x6},
    {"two_stores_each", two_stores_each, 0xf},
    {"no_addition_is_lost", no_addition_is_lost, 0x8},
    {"release_sequence", release_sequence, 0x3},
    {"no_release_sequence", no_release_sequence, 0x7},
    {"two_orders_of_stores", two_orders_of_stores, 0x3},
    {"one_order_of_stores", one_order_of_stores, 0x1},
    {0},
};
