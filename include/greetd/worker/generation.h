/* SPDX-License-Identifier: MIT */
#pragma once

/* One snapshot of the configuration as one worker serves it: a lane for each listening socket. The
 * main thread makes it and hands it over; from then on it is the worker's. After a reload the
 * generation before goes on until its sockets have been let go and its last client has ended, so
 * that no client is greeted with a mixture of both. */

#include <stdbool.h>
#include <stddef.h>

#include "greetd/base/timeout_queue.h"
#include "greetd/listen/snapshot.h"
#include "greetd/metrics/metrics.h"
#include "greetd/worker/conn.h"

/* One listening socket and the clients that came through it. They have the same timeouts, so each
 * queue is in the order of its deadlines. */
struct wl {
    struct generation *generation; /* that it belongs to */
    struct listener *listener;     /* borrowed from the endpoints */
    struct conn_settings settings;
    struct metrics_listener_counters *counters; /* borrowed: this worker's */
    /* Of clients. */
    size_t n_clients;
    struct timeout_queue expecting, writing, acknowledging, lingering;
    /* Of the acceptor. */
    bool open;     /* still to be accepted from */
    bool watched;  /* epoll knows it; only so in the newest generation */
    bool ready;    /* there may be clients in its queue */
    bool paused;   /* clients are left in its queue until acceptor->resume_usec */
    bool draining; /* is closed as soon as its queue is empty */
};

struct generation {
    struct generation *older;  /* the one before, as long as that is in use */
    struct snapshot *snapshot; /* a reference */
    size_t n_listeners;
    struct wl listeners[];
};

/* Goes through all lanes of the generation NEWEST and of the older ones behind it. */
#define FOR_EACH_WORKER_LISTENER(wl, newest)                                                       \
    for (struct generation *_g = (struct generation *)(newest); _g; _g = _g->older)                \
        for (struct wl *wl = _g->listeners; wl < _g->listeners + _g->n_listeners; wl++)

/* Makes a lane, open to be accepted from, for each of ENDPOINTS, of which a reference is kept.
 * WORKER is the index of the worker it is for, in METRICS, which are borrowed. Only for the main
 * thread. On success *RET is the caller's. Errors: -ENOMEM. */
int generation_new(struct generation **ret, struct snapshot *snapshot, struct metrics *metrics,
                   unsigned worker);

/* Frees it, but not the older ones. No client must be left. NULL is allowed. */
void generation_free(struct generation *generation);
DEFINE_CLEANUP_FUNCTION(struct generation, generation_free)

/* Whether it has clients, or a socket that is still accepted from. */
bool generation_in_use(const struct generation *generation);
