/* SPDX-License-Identifier: MIT */
#pragma once

/* One thread that serves clients, with an epoll instance of its own and a mailbox, which is the
 * only way to tell it something. The kernel's accept queue is the job queue; what becomes of a
 * client is told in conn.
 *
 *     ┌─▶ epoll_wait ─▶ clients that are ready ─▶ clients whose time is over ─▶ accept and greet ─┐
 *     └───────────────────────────────────────────────────────────────────────────────────────────┘
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

#include "greetd/acceptor.h"
#include "greetd/clients.h"
#include "greetd/connlog.h"
#include "greetd/endpoint.h"
#include "greetd/ring.h"

/* What all workers of a pool have in common. */
struct worker_shared {
    struct endpoints endpoints; /* borrowed */
    unsigned n_workers;
    struct connlog *connlog;       /* borrowed */
    int changed_fd;                /* borrowed: an eventfd, written when a worker's state changes */
    struct acceptor_shared accept; /* of all acceptors */
};

/* Only ever moves on to a later one. */
enum worker_state {
    WORKER_STARTING,
    WORKER_ACCEPTING,
    WORKER_DRAINING, /* has let go of the listening sockets, still has clients */
    WORKER_ENDED,    /* the thread is ending: all clients are done */
    WORKER_FAILED,   /* the thread is ending: the system refused what it can't do without */
};

enum worker_message {
    WORKER_STOP_LEAVE, /* stop accepting at once and leave the queue to the next process */
    WORKER_STOP_EMPTY, /* accept those who are in the queue, then stop accepting */
    WORKER_QUIT,       /* end now, whoever is still there */
};

struct worker {
    struct worker_shared *shared; /* borrowed */
    unsigned index;
    pthread_t thread;
    int epoll_fd;        /* owned */
    int mailbox_fd;      /* owned: an eventfd, written when there is a message */
    struct ring mailbox; /* of enum worker_message; pushed to by the main thread */
    struct clients clients;
    struct acceptor acceptor;
    bool quit;
    int error; /* negative errno, for WORKER_FAILED; settled once the state is seen */
    /* enum worker_state. Released by the thread, so that who sees it sees what led there. */
    atomic_int state;
};

/* Prepares worker number INDEX, for up to CAPACITY (at least 1) clients. Returns 0, -ENOMEM, or
 * what epoll_create1(2), epoll_ctl(2) or eventfd(2) said; worker_deinit() is due in either case. */
int worker_init(struct worker *worker, unsigned index, size_t capacity,
                struct worker_shared *shared);

/* Frees what the worker owns. Its thread must have ended or never been started. */
void worker_deinit(struct worker *worker);

/* Starts the thread, to be joined by the caller. Returns 0 or a negative errno of
 * pthread_create(3). */
int worker_start(struct worker *worker);

/* Puts a message into the mailbox; only for the main thread. Returns 0, or -EAGAIN if the mailbox
 * is full. */
int worker_post(struct worker *worker, enum worker_message message);

/* Where the worker is; for any thread. */
enum worker_state worker_state(const struct worker *worker);
