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
    Change("metrics/metrics.h: `accepted` is read before `ended`", "metrics",
           "include/greetd/metrics/metrics.h",
           "    X(ended)         /* accepted connections that are closed again */"
           "                              \\\n"
           "    X(accepted)      /* clients taken from the kernel's queue */"
           "                                   \\\n",
           "    X(accepted) \\\n    X(ended) \\\n"),
    Change("metrics/metrics.h: a time is added before its bucket", "metrics",
           "include/greetd/metrics/metrics.h",
           "    metrics_add(&counters->greeting_times[metrics_time_bucket(usec)], 1);\n"
           "    metrics_add(&counters->greeting_usec, usec);\n",
           "    metrics_add(&counters->greeting_usec, usec);\n"
           "    metrics_add(&counters->greeting_times[metrics_time_bucket(usec)], 1);\n"),
    Change("journal/logger.c: a drop does not wake the thread", "journal", "src/journal/logger.c",
           "        metrics_add(dropped, 1);\n    waker_wake(&logger->waker);\n",
           "        metrics_add(dropped, 1);\n    else\n        waker_wake(&logger->waker);\n"),
    Change("journal/writer.c: the thread does not look again before it sleeps", "journal",
           "src/journal/writer.c",
           "    if (drain(logger) > 0 || atomic_load(&logger->stop))\n",
           "    if (atomic_load(&logger->stop))\n"),
    Change("journal/writer.c: the thread does not look for a stop before it sleeps", "journal",
           "src/journal/writer.c",
           "    if (drain(logger) > 0 || atomic_load(&logger->stop))\n",
           "    if (drain(logger) > 0)\n"),
    Change("worker/pool.c: the states are read before the descriptor", "pool",
           "src/worker/pool.c",
           "    return slowest;\n",
           "    (void)eventfd_read(pool->shared.changed_fd, &n);\n    return slowest;\n"),
    Change("worker/worker.c: a message is handled before the clients are counted", "pool",
           "src/worker/worker.c",
           "        publish_round(worker);\n"
           "        if (worker->has_mail)\n"
           "            read_mailbox(worker);\n",
           "        if (worker->has_mail)\n"
           "            read_mailbox(worker);\n"
           "        publish_round(worker);\n"),
    Change("worker/worker.c: the mailbox is reset after it was emptied", "pool",
           "src/worker/worker.c",
           "        (void)eventfd_write(worker->context.shared->changed_fd, 1);\n    }\n}\n",
           "        (void)eventfd_write(worker->context.shared->changed_fd, 1);\n    }\n"
           "    (void)eventfd_read(worker->mailbox_fd, &n);\n}\n"),
]
