/* SPDX-License-Identifier: MIT */
#pragma once

/* Accepting in one worker. Each of its listening sockets is in its epoll with EPOLLEXCLUSIVE, so
 * that a new client wakes one worker and not all. A socket leaves epoll while this worker can't
 * take its clients; another worker takes them, or they wait in the kernel's queue. Only for the
 * thread of the worker. Times are CLOCK_MONOTONIC in microseconds. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "greetd/worker/clients.h"
#include "greetd/worker/context.h"
#include "greetd/worker/generation.h"

struct acceptor {
    struct worker_context *context; /* borrowed */
    struct clients *clients;        /* borrowed; its generations have the listeners */
    bool held;                      /* by acceptor_hold() */
    bool left_epoll;                /* a socket has, since the last write to look_fd */
    uint64_t resume_usec;           /* when to try paused sockets again; USEC_INFINITY: none is */
    uint64_t n_ended_at_pause;      /* clients->n_ended, to see whether a place became free */
    size_t turn;                    /* the first listener to accept from */
    uint64_t next_turn;             /* clients->last_number when to let another worker be first */
};

/* Prepares to accept into CLIENTS from the sockets of its newest generation. Nothing is added to
 * epoll yet. */
void acceptor_init(struct acceptor *acceptor, struct clients *clients,
                   struct worker_context *context);

/* Adds the sockets to epoll. Returns 0 or a negative errno of epoll_ctl(2). */
int acceptor_start(struct acceptor *acceptor);

/* Continues with GENERATION, which is taken over. A socket that both generations have is accepted
 * from without a break; one that only the older has is closed for this worker as soon as its queue
 * is empty. Call it after all events of an epoll_wait(2), which name listeners by index. Returns as
 * acceptor_start(). */
int acceptor_adopt(struct acceptor *acceptor, struct generation *generation);

/* Leaves clients in the queues until acceptor_resume(). */
void acceptor_hold(struct acceptor *acceptor);
void acceptor_resume(struct acceptor *acceptor);

/* Notes that epoll has reported clients at the listener INDEX of the newest generation. */
void acceptor_mark_ready(struct acceptor *acceptor, size_t index);

/* Has the next acceptor_run() try every queue, paused or not, also those of the shards of other
 * workers. Another worker asks for that if it can't take a client that epoll has reported to it
 * alone. */
void acceptor_look_again(struct acceptor *acceptor);

/* Accepts and greets a few of the waiting clients, and resumes paused sockets when possible. Call
 * it after all events of an epoll_wait(2): it may evict a client that an event is about. Returns 0,
 * or a negative errno if a socket is of no more use. */
int acceptor_run(struct acceptor *acceptor, uint64_t now_usec);

/* When acceptor_run() is due without an event: USEC_INFINITY, a time, or 0 for at once. */
uint64_t acceptor_next_deadline(const struct acceptor *acceptor);

/* Stops accepting at once. */
void acceptor_close(struct acceptor *acceptor);

/* Stops accepting. The queue of a socket that is handed on is left to the next process; others are
 * accepted from until their queue is empty. */
void acceptor_stop(struct acceptor *acceptor);

/* Whether any socket is still accepted from. */
bool acceptor_is_open(const struct acceptor *acceptor);
