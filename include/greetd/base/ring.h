/* SPDX-License-Identifier: MIT */
#pragma once

/* A bounded queue between exactly two threads: one pushes, one pops. Neither waits for the other.
 * The ring owns copies of the elements, in memory that is allocated once. */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#define RING_CACHE_LINE 64

struct ring {
    /* Written by the pushing thread only. Its copy of the other position saves most reads of that
     * thread's cache line. */
    _Alignas(RING_CACHE_LINE) atomic_size_t pushed;
    size_t popped_seen;
    /* Written by the popping thread only. */
    _Alignas(RING_CACHE_LINE) atomic_size_t popped;
    size_t pushed_seen;
    /* Written by neither. */
    _Alignas(RING_CACHE_LINE) size_t mask;
    size_t element_size;
    char *elements; /* owned */
};

/* Allocates room for N_ELEMENTS (a power of two) of ELEMENT_SIZE bytes each. Pages are touched only
 * when they are used. Returns 0, -EINVAL or -ENOMEM. */
int ring_init(struct ring *ring, size_t n_elements, size_t element_size);

/* Frees the memory, which neither thread may use any more. A ring of zeroes is allowed. */
void ring_deinit(struct ring *ring);

/* Copies ELEMENT to the ring. Returns false, without a change, if the ring is full. */
bool ring_push(struct ring *ring, const void *element);

/* Moves the oldest element to RET_ELEMENT. Returns false if the ring is empty. */
bool ring_pop(struct ring *ring, void *ret_element);
