/* SPDX-License-Identifier: MIT */
#pragma once

/* One thread that serves clients, with an epoll instance of its own and a mailbox, which is the
 * only way to tell it something. The kernel's accept queue is the job queue; what becomes of a
 * client is told in conn.
 *
 *     ┌─▶ epoll_wait ─▶ clients that are ready ─▶ clients whose time is over ─▶ accept and greet ─┐
 *     └────────────────────────────────────────── the mailbox, if there is something in it ◀──────┘
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

#include "greetd/base/ring.h"
#include "greetd/greeting/variable.h"
#include "greetd/journal/logger.h"
#include "greetd/listen/snapshot.h"
#include "greetd/worker/acceptor.h"
#include "greetd/worker/clients.h"

/* What all workers of a pool have in common. */
struct worker_shared {
    unsigned n_workers;
    struct logger *logger;         /* borrowed */
    struct acceptor_shared accept; /* of all acceptors; its changed_fd is written by workers too */
    /* Whether the main thread wants to hear, by changed_fd, that there has been something to do. */
    atomic_bool wants_activity;
    /* What $metrics stands for, in any worker's thread; pool_new() is the place to set it. */
    struct variable_text metrics_text;
};

/* Only ever moves on to a later one. */
enum worker_state {
    WORKER_STARTING,
    WORKER_ACCEPTING,
    WORKER_DRAINING, /* has let go of the listening sockets, still has clients */
    WORKER_ENDED,    /* the thread is ending: all clients are done */
    WORKER_FAILED,   /* the thread is ending: the system refused what it can't do without */
};

enum worker_message_kind {
    WORKER_ADOPT,  /* serve another generation */
    WORKER_HOLD,   /* leave newcomers in the queue until told otherwise */
    WORKER_RESUME, /* accept them again */
    WORKER_STOP,   /* stop accepting, see acceptor_stop(), and end once the last client has gone */
    WORKER_QUIT,   /* end now, whoever is still there */
};

struct worker_message {
    enum worker_message_kind kind;
    struct generation *generation; /* for WORKER_ADOPT: taken over */
};

struct worker {
    struct worker_shared *shared; /* borrowed */
    unsigned index;
    pthread_t thread;
    int epoll_fd;        /* owned */
    int mailbox_fd;      /* owned: an eventfd, written when there is a message */
    struct ring mailbox; /* of struct worker_message; pushed to by the main thread */
    struct clients clients;
    struct acceptor acceptor;
    bool has_mail, quit;
    uint64_t n_events_seen; /* clients accepted, greeted and ended by the end of the last round */
    int error;              /* negative errno, for WORKER_FAILED; settled once the state is seen */
    /* enum worker_state. Released by the thread, so that who sees it sees what led there. */
    atomic_int state;
    /* How many messages it has acted on. Released, as the state. */
    atomic_uint n_handled;
    /* How often it has gone round its loop. Relaxed: that it moves is all there is to know. */
    atomic_uint_fast64_t n_rounds;
    /* Since when it has no client, CLOCK_MONOTONIC; USEC_INFINITY while it has one. */
    atomic_uint_fast64_t idle_since_usec;
};

/* Prepares worker number INDEX, for up to CAPACITY (at least 1) clients of GENERATION, which is
 * taken over. Returns 0, -ENOMEM, or what epoll_create1(2), epoll_ctl(2) or eventfd(2) said;
 * worker_deinit() is due in either case. */
int worker_init(struct worker *worker, unsigned index, size_t capacity,
                struct generation *generation, struct worker_shared *shared);

/* Frees what the worker owns. Its thread must have ended or never been started. */
void worker_deinit(struct worker *worker);

/* Starts the thread, to be joined by the caller. Returns 0 or a negative errno of
 * pthread_create(3). */
int worker_start(struct worker *worker);

/* Puts a message into the mailbox; only for the main thread. Returns 0, or -EAGAIN if the mailbox
 * is full, and then has taken nothing over. */
int worker_post(struct worker *worker, struct worker_message message);

/* Has an idle worker go round its loop once; only for the main thread. */
void worker_wake(struct worker *worker);

/* Where the worker is; for any thread. */
enum worker_state worker_state(const struct worker *worker);
