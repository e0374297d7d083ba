/* SPDX-License-Identifier: MIT */
#pragma once

/* One thread that serves clients, with an epoll instance of its own and a mailbox for messages of
 * the main thread. The kernel's accept queue is the job queue; conn has the life of a client.
 *
 *     ┌─▶ epoll_wait ─▶ clients with events ─▶ clients that time out ─▶ accept and greet ─┐
 *     └──────────────────────────────────── the mailbox, if it has messages ◀─────────────┘
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "greetd/base/ring.h"
#include "greetd/worker/acceptor.h"
#include "greetd/worker/clients.h"
#include "greetd/worker/context.h"
#include "greetd/worker/generation.h"

/* Only ever changes to a later one. */
enum worker_state {
    WORKER_STARTING,
    WORKER_ACCEPTING,
    WORKER_DRAINING, /* accepts no more, still has clients */
    WORKER_ENDED,    /* the thread returns; all clients are done */
    WORKER_FAILED,   /* the thread returns; a system call that it needs has failed */
};

enum worker_message_kind {
    WORKER_ADOPT,   /* serve another generation */
    WORKER_REPLACE, /* greet new clients with other greetings */
    WORKER_HOLD,    /* leave clients in the queue until WORKER_RESUME */
    WORKER_RESUME,  /* accept them again */
    WORKER_STOP,    /* acceptor_stop(), then end after the last client */
    WORKER_QUIT,    /* end now and close all clients */
};

struct worker_message {
    enum worker_message_kind kind;
    struct generation *generation;     /* of WORKER_ADOPT: taken over */
    struct worker_greeting *greetings; /* of WORKER_REPLACE: a list, taken over */
};

struct worker {
    struct worker_context context;
    pthread_t thread;
    int mailbox_fd;      /* owned: an eventfd, written when there is a message */
    struct ring mailbox; /* of struct worker_message; the main thread pushes */
    struct clients clients;
    struct acceptor acceptor;
    bool has_mail, quit;
    uint64_t n_events; /* clients accepted, greeted and ended, as of the last round */
    int error;         /* negative errno of WORKER_FAILED; valid once that state is seen */
    /* enum worker_state. Released by the thread, so that a thread that sees a state sees what led
     * to it. */
    atomic_int state;
    /* How many messages the worker has handled. Released, as the state. */
    atomic_uint n_handled;
    /* Rounds of the loop. Relaxed: only that it changes matters. */
    atomic_uint_fast64_t n_rounds;
    /* Since when there has been no client, CLOCK_MONOTONIC; USEC_INFINITY while there is one.
     * Released, as the state. */
    atomic_uint_fast64_t idle_since_usec;
};

/* Prepares worker INDEX for up to CAPACITY (at least 1) clients of GENERATION, which is taken over.
 * Returns 0, -ENOMEM, or a negative errno of epoll_create1(2), epoll_ctl(2) or eventfd(2);
 * worker_deinit() is due in either case. */
int worker_init(struct worker *worker, unsigned index, size_t capacity,
                struct generation *generation, struct worker_shared *shared);

/* Frees what the worker owns. Its thread must have ended or never been started. */
void worker_deinit(struct worker *worker);

/* Starts the thread; the caller joins it. Returns 0 or a negative errno of pthread_create(3). */
int worker_start(struct worker *worker);

/* Puts a message into the mailbox; only for the main thread. Returns 0, or -EAGAIN if the mailbox
 * is full, and then takes nothing over. */
int worker_post(struct worker *worker, struct worker_message message);

/* Wakes an idle worker for one round of its loop; only for the main thread. */
void worker_wake(struct worker *worker);

/* For any thread. */
enum worker_state worker_state(const struct worker *worker);
