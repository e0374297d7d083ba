/* SPDX-License-Identifier: MIT */
#include "greetd/worker/eviction.h"

/* How many just greeted clients are considered. */
#define EVICTION_LOOKS 16

/* After close(2) the kernel still delivers unacknowledged bytes, unless the client sends data. A
 * refused client that has many is reset. */
static bool is_evictable(const struct conn *conn)
{
    return conn->state == CONN_GREETED &&
           (conn->acknowledged || conn->local || conn->refusal != REFUSAL_NONE ||
            conn_unacknowledged(conn) <= CONN_LEFT_MAX);
}

static struct timeout_entry *older(struct timeout_entry *a, struct timeout_entry *b)
{
    return !b || (a && a->since_usec <= b->since_usec) ? a : b;
}

/* A refused client must not keep others out by taking RefuseMessage= slowly. */
static struct timeout_entry *oldest_refused(const struct generation *newest)
{
    struct timeout_entry *oldest = NULL;

    FOR_EACH_WORKER_LISTENER (wl, newest)
        oldest = older(oldest, timeout_queue_oldest(&wl->refused));
    return oldest;
}

/* A line that the client does not take is a wait like that for the next line. */
static struct timeout_entry *oldest_dripping(const struct generation *newest)
{
    struct timeout_entry *oldest = NULL;

    FOR_EACH_WORKER_LISTENER (wl, newest) {
        oldest = older(oldest, timeout_queue_oldest(&wl->dripping));
        if (wl->config->settings.drip_usec > 0)
            oldest = older(oldest, timeout_queue_oldest(&wl->writing));
    }
    return oldest;
}

static struct timeout_entry *oldest_lingering(const struct generation *newest)
{
    struct timeout_entry *oldest = NULL;

    FOR_EACH_WORKER_LISTENER (wl, newest)
        oldest = older(oldest, timeout_queue_oldest(&wl->lingering));
    return oldest;
}

/* Nearly every just greeted client is evictable. A few wait in the same queue, not greeted yet, for
 * the kernel to have memory. */
static struct timeout_entry *oldest_evictable(const struct timeout_queue *soon)
{
    struct timeout_entry *entry = soon->sentinel.next;

    for (unsigned n = 0; n < EVICTION_LOOKS && entry != &soon->sentinel; n++) {
        if (is_evictable(conn_of_entry(entry)))
            return entry;
        entry = entry->next;
    }
    return NULL;
}

/* Clients that were polled before are older. */
static struct timeout_entry *oldest_just_greeted(const struct timeout_queue *soon)
{
    struct timeout_entry *oldest = NULL;

    for (unsigned turn = CONN_POLLS; !oldest && turn-- > 0;)
        oldest = oldest_evictable(&soon[turn]);
    return oldest;
}

/* A client that never sends data must not keep others out. The oldest is the least likely to send.
 */
static struct timeout_entry *oldest_just_greeted_or_expecting(const struct generation *newest,
                                                              const struct timeout_queue *soon)
{
    struct timeout_entry *oldest = oldest_just_greeted(soon);

    FOR_EACH_WORKER_LISTENER (wl, newest)
        oldest = older(oldest, timeout_queue_oldest(&wl->expecting));
    return oldest;
}

/* A client that has acknowledged nothing for LingerSec= may have vanished. */
static struct timeout_entry *oldest_acknowledging(const struct generation *newest,
                                                  uint64_t now_usec)
{
    struct timeout_entry *oldest = NULL;

    FOR_EACH_WORKER_LISTENER (wl, newest) {
        struct timeout_entry *entry = timeout_queue_oldest(&wl->acknowledging);

        if (entry && (timeout_queue_deadline(&wl->acknowledging,
                                             wl->config->settings.linger_usec) <= now_usec ||
                      is_evictable(conn_of_entry(entry))))
            oldest = older(oldest, entry);
    }
    return oldest;
}

struct conn *eviction_candidate(const struct generation *newest, const struct timeout_queue *soon,
                                uint64_t now_usec)
{
    struct timeout_entry *oldest = oldest_refused(newest);

    if (!oldest)
        oldest = oldest_dripping(newest);
    /* A lingering client has had more time to close than a just greeted one. */
    if (!oldest)
        oldest = oldest_lingering(newest);
    if (!oldest)
        oldest = oldest_just_greeted_or_expecting(newest, soon);
    if (!oldest)
        oldest = oldest_acknowledging(newest, now_usec);
    return oldest ? conn_of_entry(oldest) : NULL;
}
