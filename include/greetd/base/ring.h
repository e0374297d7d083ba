/* SPDX-License-Identifier: MIT */
#pragma once

/* A bounded queue between exactly two threads: one that pushes, one that pops. Neither ever waits
 * for the other: a full ring refuses, an empty one has nothing. Its memory is allocated once. */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#define RING_CACHE_LINE 64

struct ring {
    /* What the pushing thread writes. The copy of the other side's position saves a look at its
     * cache line. */
    _Alignas(RING_CACHE_LINE) atomic_size_t pushed;
    size_t popped_seen;
    /* What the popping thread writes. */
    _Alignas(RING_CACHE_LINE) atomic_size_t popped;
    size_t pushed_seen;
    /* What neither writes. */
    _Alignas(RING_CACHE_LINE) size_t mask;
    size_t element_size;
    char *elements; /* owned */
};

/* Makes room for N_ELEMENTS (a power of two) of ELEMENT_SIZE bytes each. The memory is touched only
 * as it is used. Returns 0, -EINVAL or -ENOMEM. To be undone with ring_deinit(). */
int ring_init(struct ring *ring, size_t n_elements, size_t element_size);

/* Frees the memory. Both threads must be done with it. A ring of zeroes is allowed. */
void ring_deinit(struct ring *ring);

/* Copies ELEMENT into the ring. Returns false, having done nothing, if it is full. */
bool ring_push(struct ring *ring, const void *element);

/* Moves the oldest element to RET_ELEMENT. Returns false if the ring is empty. */
bool ring_pop(struct ring *ring, void *ret_element);
