/* SPDX-License-Identifier: MIT */
#pragma once

/* A FIFO of things that wait, all for the same time. Since all wait equally long, the order in
 * which they came is the order in which they are due: the head tells when to look again, and no
 * timer or heap is needed. Entries are embedded in what waits; the queue owns nothing. All times
 * are CLOCK_MONOTONIC in microseconds. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* "Never", as a point in time and as a duration. */
#define DEADLINE_NEVER UINT64_MAX

struct deadline_entry {
    struct deadline_entry *previous, *next; /* NULL when in no queue */
    uint64_t since_usec;                    /* when it was put into the queue */
};

struct deadline_fifo {
    struct deadline_entry sentinel; /* its next is the oldest entry, its previous the newest */
};

/* The time now, as all functions here want it (clock_gettime(2)). */
static inline uint64_t deadline_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* START + DURATION, where either may be DEADLINE_NEVER. */
static inline uint64_t deadline_after(uint64_t start_usec, uint64_t duration_usec)
{
    return duration_usec > DEADLINE_NEVER - start_usec ? DEADLINE_NEVER
                                                       : start_usec + duration_usec;
}

static inline uint64_t deadline_earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline void deadline_fifo_init(struct deadline_fifo *fifo)
{
    fifo->sentinel.next = fifo->sentinel.previous = &fifo->sentinel;
}

/* Whether the entry is in a queue. */
static inline bool deadline_queued(const struct deadline_entry *entry)
{
    return entry->next;
}

/* Takes the entry out of the queue it is in, if it is in one. */
static inline void deadline_remove(struct deadline_entry *entry)
{
    if (!deadline_queued(entry))
        return;
    entry->previous->next = entry->next;
    entry->next->previous = entry->previous;
    entry->previous = entry->next = NULL;
}

/* Puts the entry at the end, taking it out of the queue it was in. NOW must not be before that of
 * the last one. */
static inline void deadline_push(struct deadline_fifo *fifo, struct deadline_entry *entry,
                                 uint64_t now_usec)
{
    deadline_remove(entry);
    entry->since_usec = now_usec;
    entry->next = &fifo->sentinel;
    entry->previous = fifo->sentinel.previous;
    entry->previous->next = entry;
    fifo->sentinel.previous = entry;
}

/* The entry that has waited longest, or NULL. It stays in the queue. */
static inline struct deadline_entry *deadline_oldest(const struct deadline_fifo *fifo)
{
    return fifo->sentinel.next == &fifo->sentinel ? NULL : fifo->sentinel.next;
}

/* When the oldest entry will have waited for TIMEOUT; DEADLINE_NEVER if there is none. */
static inline uint64_t deadline_next(const struct deadline_fifo *fifo, uint64_t timeout_usec)
{
    const struct deadline_entry *oldest = deadline_oldest(fifo);

    return oldest ? deadline_after(oldest->since_usec, timeout_usec) : DEADLINE_NEVER;
}
