/* SPDX-License-Identifier: MIT */
#include "greetd/worker/eviction.h"

/* How many of the clients greeted just now are looked at. */
#define EVICTION_LOOKS 16

/* What may be on its way to a client that is evicted: no more than the kernel of a client that
 * reads nothing takes at first. */
#define EVICTION_UNACKNOWLEDGED_MAX 65536

/* What a client has not acknowledged is still delivered after close(2) unless the client sends
 * something. But much of it would stay in the kernel's memory for a client that does not read, and
 * nobody would count that client any more. */
static bool is_evictable(const struct conn *conn)
{
    return conn->state == CONN_GREETED &&
           (conn->acknowledged || conn_is_local(conn) ||
            conn_unacknowledged(conn) <= EVICTION_UNACKNOWLEDGED_MAX);
}

static struct timeout_entry *older(struct timeout_entry *a, struct timeout_entry *b)
{
    return !b || (a && a->since_usec <= b->since_usec) ? a : b;
}

static struct timeout_entry *oldest_lingering(const struct generation *newest)
{
    struct timeout_entry *oldest = NULL;

    FOR_EACH_WORKER_LISTENER(wl, newest)
    oldest = older(oldest, timeout_queue_oldest(&wl->lingering));
    return oldest;
}

/* Nearly every client greeted just now is evictable. Some may not be greeted yet: they wait for the
 * kernel to have memory. */
static struct timeout_entry *oldest_just_greeted(const struct timeout_queue *soon)
{
    struct timeout_entry *entry = soon->sentinel.next;

    for (unsigned n = 0; n < EVICTION_LOOKS && entry != &soon->sentinel; n++) {
        if (is_evictable(conn_of_entry(entry)))
            return entry;
        entry = entry->next;
    }
    return NULL;
}

/* A client that never speaks must not keep out those that would; but one that has come just now may
 * be about to. */
static struct timeout_entry *oldest_newcomer(const struct generation *newest,
                                             const struct timeout_queue *soon)
{
    struct timeout_entry *oldest = oldest_just_greeted(soon);

    FOR_EACH_WORKER_LISTENER(wl, newest)
    oldest = older(oldest, timeout_queue_oldest(&wl->expecting));
    return oldest;
}

/* A client that has acknowledged nothing for LingerSec= may be gone without a word. */
static struct timeout_entry *oldest_acknowledging(const struct generation *newest,
                                                  uint64_t now_usec)
{
    struct timeout_entry *oldest = NULL;

    FOR_EACH_WORKER_LISTENER(wl, newest)
    {
        struct timeout_entry *entry = timeout_queue_oldest(&wl->acknowledging);

        if (entry &&
            (timeout_queue_deadline(&wl->acknowledging, wl->settings.linger_usec) <= now_usec ||
             is_evictable(conn_of_entry(entry))))
            oldest = older(oldest, entry);
    }
    return oldest;
}

struct conn *eviction_candidate(const struct generation *newest, const struct timeout_queue *soon,
                                uint64_t now_usec)
{
    /* A lingering client has had longer to close than one greeted just now. */
    struct timeout_entry *oldest = oldest_lingering(newest);

    if (!oldest)
        oldest = oldest_newcomer(newest, soon);
    if (!oldest)
        oldest = oldest_acknowledging(newest, now_usec);
    return oldest ? conn_of_entry(oldest) : NULL;
}
