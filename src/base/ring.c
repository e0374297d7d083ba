/* SPDX-License-Identifier: MIT */
#include "greetd/base/ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Positions only grow. Their difference is the number of elements, even after they wrap around.
 * tests/models/scenarios/ring.c tries all executions of a small ring. */

int ring_init(struct ring *ring, size_t n_elements, size_t element_size)
{
    if (n_elements == 0 || (n_elements & (n_elements - 1)) != 0 || element_size == 0)
        return -EINVAL;

    char *elements = calloc(n_elements, element_size);
    if (!elements)
        return -ENOMEM;

    *ring = (struct ring){
        .mask = n_elements - 1,
        .element_size = element_size,
        .elements = elements,
    };
    return 0;
}

void ring_deinit(struct ring *ring)
{
    free(ring->elements);
    ring->elements = NULL;
}

static char *ring_at(const struct ring *ring, size_t position)
{
    return ring->elements + (position & ring->mask) * ring->element_size;
}

bool ring_push(struct ring *ring, const void *element)
{
    size_t pushed = atomic_load_explicit(&ring->pushed, memory_order_relaxed);

    if (pushed - ring->popped_seen > ring->mask) {
        /* Acquire: the popping thread is done with the element that is overwritten. */
        ring->popped_seen = atomic_load_explicit(&ring->popped, memory_order_acquire);
        if (pushed - ring->popped_seen > ring->mask)
            return false;
    }

    memcpy(ring_at(ring, pushed), element, ring->element_size);
    /* Release: a thread that sees the new position sees the element. */
    atomic_store_explicit(&ring->pushed, pushed + 1, memory_order_release);
    return true;
}

bool ring_pop(struct ring *ring, void *ret_element)
{
    size_t popped = atomic_load_explicit(&ring->popped, memory_order_relaxed);

    if (popped == ring->pushed_seen) {
        /* Acquire: the element is seen with its position. */
        ring->pushed_seen = atomic_load_explicit(&ring->pushed, memory_order_acquire);
        if (popped == ring->pushed_seen)
            return false;
    }

    memcpy(ret_element, ring_at(ring, popped), ring->element_size);
    /* Release: the pushing thread may overwrite the element once it sees the position. */
    atomic_store_explicit(&ring->popped, popped + 1, memory_order_release);
    return true;
}
