/* SPDX-License-Identifier: MIT */
#pragma once

/* A FIFO of entries that all have the same timeout. Insertion order is deadline order, so the head
 * of the queue has the next deadline, and neither a timer nor a heap is needed. The queue owns
 * nothing: an entry is a member of the struct that waits. Times are those of clock.h. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "greetd/base/clock.h"

struct timeout_entry {
    struct timeout_entry *previous, *next; /* NULL if in no queue */
    uint64_t since_usec;                   /* when the entry was pushed */
};

struct timeout_queue {
    struct timeout_entry sentinel; /* its next is the oldest entry, its previous the newest */
};

static inline void timeout_queue_init(struct timeout_queue *queue)
{
    queue->sentinel.next = queue->sentinel.previous = &queue->sentinel;
}

/* Returns whether the entry is in a queue. */
static inline bool timeout_is_queued(const struct timeout_entry *entry)
{
    return entry->next;
}

/* Removes the entry from its queue, if it is in one. */
static inline void timeout_queue_remove(struct timeout_entry *entry)
{
    if (!timeout_is_queued(entry))
        return;
    entry->previous->next = entry->next;
    entry->next->previous = entry->previous;
    entry->previous = entry->next = NULL;
}

/* Moves the entry to the end of this queue, from any queue or none. NOW must not be before that of
 * the newest entry. */
static inline void timeout_queue_push(struct timeout_queue *queue, struct timeout_entry *entry,
                                      uint64_t now_usec)
{
    timeout_queue_remove(entry);
    entry->since_usec = now_usec;
    entry->next = &queue->sentinel;
    entry->previous = queue->sentinel.previous;
    entry->previous->next = entry;
    queue->sentinel.previous = entry;
}

/* Returns the oldest entry, which stays in the queue, or NULL. */
static inline struct timeout_entry *timeout_queue_oldest(const struct timeout_queue *queue)
{
    return queue->sentinel.next == &queue->sentinel ? NULL : queue->sentinel.next;
}

/* Returns the deadline of the oldest entry, or USEC_INFINITY if the queue is empty. */
static inline uint64_t timeout_queue_deadline(const struct timeout_queue *queue,
                                              uint64_t timeout_usec)
{
    const struct timeout_entry *oldest = timeout_queue_oldest(queue);

    return oldest ? usec_add(oldest->since_usec, timeout_usec) : USEC_INFINITY;
}
