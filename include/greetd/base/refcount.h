/* SPDX-License-Identifier: MIT */
#pragma once

/* The number of references to an object that several threads share. The last one to drop its
 * reference frees the object, from any thread. */

#include <stdatomic.h>
#include <stdbool.h>

struct refcount {
    atomic_uint n;
};

/* The caller holds the first reference. */
static inline void refcount_init(struct refcount *refcount)
{
    atomic_init(&refcount->n, 1);
}

/* Relaxed: a thread that takes a reference holds one already, so nothing is ordered by it. */
static inline void refcount_take(struct refcount *refcount)
{
    atomic_fetch_add_explicit(&refcount->n, 1, memory_order_relaxed);
}

/* Returns whether this was the last reference. Release, so that this thread is done with the object
 * before another can see the count; acquire, so that the last one frees it after all others. */
static inline bool refcount_drop(struct refcount *refcount)
{
    return atomic_fetch_sub_explicit(&refcount->n, 1, memory_order_acq_rel) == 1;
}
