/* SPDX-License-Identifier: MIT */

/* base/ring: no element is lost, doubled or torn, and none changes while it is copied.
 *
 * sources: base/ring */

#include "greetd/base/ring.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

#include "../checker/scenario.h"

#define SIZE   2
#define PUSHES SHORT_OR_LONG(4, 7)
#define POPS   SHORT_OR_LONG(4, 7)

/* Two words, so that one may be torn. */
struct element {
    uint64_t number, copy;
};

struct shared {
    struct ring ring;
    uint64_t n_pushed, n_popped;
};

static void *push_all(void *argument)
{
    struct shared *shared = argument;

    for (unsigned i = 0; i < PUSHES; i++) {
        const struct element element = {.number = shared->n_pushed, .copy = shared->n_pushed};
        bool pushed = ring_push(&shared->ring, &element);

        expect(pushed || i >= SIZE, "full although it has room");
        shared->n_pushed += pushed;
    }
    return NULL;
}

static bool pop_one(struct shared *shared)
{
    struct element element;

    if (!ring_pop(&shared->ring, &element))
        return false;
    expect(element.copy == element.number, "torn element");
    expect(element.number == shared->n_popped, "element lost or doubled");
    shared->n_popped++;
    return true;
}

static void *pop_some(void *argument)
{
    for (unsigned i = 0; i < POPS; i++)
        (void)pop_one(argument);
    return NULL;
}

static void run(void)
{
    struct shared *shared = aligned_alloc(RING_CACHE_LINE, sizeof(*shared));
    pthread_t pusher, popper;

    (void)ring_init(&shared->ring, SIZE, sizeof(struct element));
    pthread_create(&pusher, NULL, push_all, shared);
    pthread_create(&popper, NULL, pop_some, shared);
    pthread_join(pusher, NULL);
    pthread_join(popper, NULL);
    while (pop_one(shared))
        ;
    expect(shared->n_popped == shared->n_pushed, "element lost");
    ring_deinit(&shared->ring);
}

const struct scenario scenarios[] = {{.name = "ring", .run = run}, {0}};
