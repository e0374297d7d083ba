/* SPDX-License-Identifier: MIT */
#pragma once

/* The number of references to an object that several threads share. The thread that drops the last
 * reference frees the object. */

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

/* Returns whether this was the last reference. Release: this thread is done with the object before
 * another sees the count. Acquire: the last thread frees the object after all others are done. */
static inline bool refcount_drop(struct refcount *refcount)
{
    return atomic_fetch_sub_explicit(&refcount->n, 1, memory_order_acq_rel) == 1;
}

/* Whether the caller holds the only reference, so that no other thread can take one. Relaxed: to
 * free the object the caller still has to drop it. */
static inline bool refcount_is_one(const struct refcount *refcount)
{
    return atomic_load_explicit(&refcount->n, memory_order_relaxed) == 1;
}
