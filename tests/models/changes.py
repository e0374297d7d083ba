# SPDX-License-Identifier: MIT
"""The mutants that have the steps of a protocol in another order, or without one of them."""

import collections

Change = collections.namedtuple("Change", "name scenario path before after")

CHANGES = [
    Change("base/waker.c: the thread looks for work and sleeps without an announcement", "waker",
           "src/base/waker.c",
           "    atomic_store_explicit(&waker->asleep, true, memory_order_relaxed);\n", ""),
    Change("base/waker.c: the announcement comes after the fence", "waker", "src/base/waker.c",
           "    atomic_store_explicit(&waker->asleep, true, memory_order_relaxed);\n"
           "    atomic_thread_fence(memory_order_seq_cst);\n",
           "    atomic_thread_fence(memory_order_seq_cst);\n"
           "    atomic_store_explicit(&waker->asleep, true, memory_order_relaxed);\n"),
    Change("base/ring.c: the position is pushed before the element", "ring", "src/base/ring.c",
           "    memcpy(ring_at(ring, pushed), element, ring->element_size);\n"
           "    /* Release: a thread that sees the new position sees the element. */\n"
           "    atomic_store_explicit(&ring->pushed, pushed + 1, memory_order_release);\n",
           "    atomic_store_explicit(&ring->pushed, pushed + 1, memory_order_release);\n"
           "    memcpy(ring_at(ring, pushed), element, ring->element_size);\n"),
    Change("base/ring.c: a full ring has room for one more", "ring", "src/base/ring.c",
           "        if (pushed - ring->popped_seen > ring->mask)\n",
           "        if (pushed - ring->popped_seen > ring->mask + 1)\n"),
]
