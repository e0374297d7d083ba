/* SPDX-License-Identifier: MIT */
#pragma once

/* One snapshot of the configuration as one worker serves it. The main thread makes a generation and
 * posts it; from then on the worker owns it. After a reload the older generation stays until the
 * worker has left its sockets and its last client has ended, so that no client is greeted with a
 * mixture of both. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "greetd/base/timeout_queue.h"
#include "greetd/listen/snapshot.h"
#include "greetd/metrics/metrics.h"

/* One greeting of a listener in one worker. A greeting that another has replaced stays until its
 * last client has ended, so that each client receives one version as a whole. */
struct worker_greeting {
    struct worker_greeting *next; /* in a list that is on its way to the worker */
    size_t index;                 /* as well: of the listener in the newest generation */
    struct worker_listener *listener;
    struct greeting *text; /* a reference, but borrowed if the snapshot has it configured */
    size_t n_clients;
};

/* One listening socket in one worker, with the clients accepted from it. They have the same
 * timeouts, so each queue is in the order of its deadlines. */
struct worker_listener {
    struct generation *generation;        /* it belongs to */
    const struct binding *binding;        /* borrowed from the snapshot */
    struct listener *listener;            /* borrowed from the snapshot */
    const struct config_listener *config; /* borrowed: the greeting, its settings */
    const char *name; /* borrowed from the metrics, since records outlive the generation */
    struct metrics_listener_counters *counters; /* borrowed: this worker's */
    bool wildcard;                     /* clients have connected to any address of this machine */
    bool fast_open;                    /* a client may be accepted before its handshake is over */
    struct worker_greeting configured; /* the greeting that the snapshot has */
    struct worker_greeting *greeting;  /* the one of new clients: CONFIGURED or owned */
    struct worker_greeting refusal; /* RefuseMessage=, for refused clients; its text may be NULL */
    /* Written by clients. */
    size_t n_clients;
    struct timeout_queue expecting, writing, dripping, acknowledging, lingering;
    struct timeout_queue refused; /* in place of writing and acknowledging */
    /* Written by the acceptor. */
    bool open;         /* accepted from */
    bool watched;      /* in epoll; only in the newest generation */
    bool ready;        /* clients may be in the queue */
    bool paused;       /* clients stay in the queue until acceptor->resume_usec */
    bool draining;     /* closed as soon as the queue is empty */
    unsigned n_others; /* queues of other shards to accept from before its own */
};

struct generation {
    struct generation *older;  /* still in use; NULL if there is none */
    struct snapshot *snapshot; /* a reference */
    size_t n_addresses;        /* with one listener each, or several if it has many shards */
    size_t n_listeners;        /* those that this worker accepts from */
    struct worker_listener listeners[];
};

/* Visits all listeners of the generation NEWEST and of older ones. */
#define FOR_EACH_WORKER_LISTENER(wl, newest)                                                       \
    for (struct generation *_g = (struct generation *)(newest); _g; _g = _g->older)                \
        for (struct worker_listener *wl = _g->listeners; wl < _g->listeners + _g->n_listeners; wl++)

/* Whether other workers have other shards of the same address. */
static inline bool worker_listener_is_shard(const struct worker_listener *wl)
{
    return wl->binding->spread && wl->binding->n_shards > 1;
}

/* Clients may be in the queue of any shard of the address; the workers of the others may have no
 * room for them. */
static inline void worker_listener_look(struct worker_listener *wl)
{
    wl->ready = wl->open;
    if (worker_listener_is_shard(wl) && !wl->draining)
        wl->n_others = wl->binding->n_shards - 1;
}

/* The queues of drained sockets only become shorter, so a worker looks into each of them once. It
 * must not look into those that the next process gets, the first of which is the first shard. */
static inline void worker_listener_drain(struct worker_listener *wl)
{
    worker_listener_look(wl);
    if (binding_first_shard(wl->binding)->listener->handed_on)
        wl->n_others = 0;
    wl->draining = wl->open;
    wl->ready = wl->open && !wl->paused;
}

/* Returns the socket to accept from. It stays open at least as long as that of WL. */
static inline int worker_listener_queue(const struct worker_listener *wl)
{
    return binding_other_shard(wl->binding, wl->n_others)->listener->fd;
}

/* Continues with the next queue, the last of which is that of WL. Returns false if there is none.
 */
static inline bool worker_listener_next_queue(struct worker_listener *wl)
{
    bool has_next = wl->n_others > 0;

    wl->n_others -= has_next;
    return has_next;
}

/* Whether the address of WL has a client in this worker. */
bool worker_listener_has_clients(const struct worker_listener *wl);

/* Counts one more client for the greeting in force, and returns that. */
static inline struct worker_greeting *worker_greeting_take(struct worker_listener *wl)
{
    wl->greeting->n_clients++;
    return wl->greeting;
}

/* Counts one client less, and frees the greeting if it was the last and another is in force. */
void worker_greeting_drop(struct worker_greeting *greeting);

/* Makes a greeting with TEXT, of which a reference is kept, for the listener at INDEX of a
 * generation that a worker has. Only for the main thread. On success *RET is the caller's. Errors:
 * -ENOMEM. */
int worker_greeting_new(struct worker_greeting **ret, size_t index, struct greeting *text);

/* Frees a list of greetings without clients. NULL is allowed. */
void worker_greeting_free_list(struct worker_greeting *greetings);

/* Puts a list of greetings in force, which is taken over, for new clients of the listeners of
 * GENERATION. */
void generation_replace_greetings(struct generation *generation, struct worker_greeting *greetings);

/* Makes an open listener for each binding of SNAPSHOT, of which a reference is kept, that is for
 * the worker with INDEX, of those of METRICS, which are borrowed. Only for the main thread. On
 * success *RET is the caller's. Errors: -ENOMEM. */
int generation_new(struct generation **ret, struct snapshot *snapshot, struct metrics *metrics,
                   unsigned index);

/* Frees the generation, but not older ones. It must have no client. NULL is allowed. */
void generation_free(struct generation *generation);
DEFINE_CLEANUP_FUNCTION(struct generation, generation_free)

/* Frees the generation and all older ones, as generation_free() does. NULL is allowed. */
void generation_free_all(struct generation *newest);

/* Returns how many of its N places each worker keeps free for addresses without a client there, so
 * that slow clients of one address can't shut out those of another: one for each address but the
 * first, if that is less than half of the places. */
static inline size_t generation_places_kept(const struct generation *generation, uint64_t n)
{
    return 2 * generation->n_addresses <= n ? generation->n_addresses - 1 : 0;
}

/* Whether a client waits at LISTENER, which is open, for other workers than this one. */
bool generation_leaves_client(const struct generation *generation, const struct listener *listener);

/* Whether the generation has a client or an open listener. */
bool generation_in_use(const struct generation *generation);

/* Frees the generations older than NEWEST that are not in use any more. */
void generation_free_unused(struct generation *newest);
