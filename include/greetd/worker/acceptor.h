/* SPDX-License-Identifier: MIT */
#pragma once

/* The listening sockets as one worker has them. Each is in the worker's epoll with EPOLLEXCLUSIVE,
 * so that a new client wakes one worker and not all. A socket whose clients this worker can't take
 * leaves epoll, and they go to another worker or wait in the kernel's queue. Only the worker's own
 * thread comes here. */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "greetd/journal/logger.h"
#include "greetd/listen/snapshot.h"
#include "greetd/metrics/metrics.h"
#include "greetd/worker/clients.h"

/* What the acceptors of all workers know of each other. */
struct acceptor_shared {
    struct metrics metrics; /* from which the number of all clients can be told */
    uint64_t max_connections;
    /* When accepting last failed, so that an episode is logged once. Relaxed: nothing depends on
     * it. */
    atomic_uint_fast64_t exhausted_usec;
    int changed_fd; /* borrowed: an eventfd, written when the last worker has let go of a socket */
    int look_fd; /* borrowed: an eventfd, written to have every worker call acceptor_look_again() */
};

struct acceptor {
    int epoll_fd;                   /* borrowed: the worker's */
    struct clients *clients;        /* borrowed; its generations have the sockets */
    bool held;                      /* by acceptor_hold() */
    bool left_epoll;                /* a socket did since the others were last asked to look */
    uint64_t resume_usec;           /* when to try paused sockets again; else USEC_INFINITY */
    uint64_t n_ended_at_pause;      /* of clients_n_ended: whether a client has ended since */
    size_t turn;                    /* which lane is the first to be accepted from */
    struct acceptor_shared *shared; /* borrowed */
};

/* Prepares to accept into CLIENTS from the sockets of its newest generation; nothing is registered
 * yet. */
void acceptor_init(struct acceptor *acceptor, int epoll_fd, struct clients *clients,
                   struct acceptor_shared *shared);

/* Registers the sockets with epoll. Returns 0 or a negative errno of epoll_ctl(2). */
int acceptor_start(struct acceptor *acceptor);

/* Goes on with GENERATION, which is taken over. A socket that the one before has too is accepted
 * from without a break; one that is not there any more is let go as soon as its queue is empty.
 * Must come after all events of the same epoll_wait(2), which speak of lanes by their number.
 * Returns as acceptor_start(). */
int acceptor_adopt(struct acceptor *acceptor, struct generation *generation);

/* Leaves newcomers in the queues until acceptor_resume(). */
void acceptor_hold(struct acceptor *acceptor);
void acceptor_resume(struct acceptor *acceptor);

/* Remembers that epoll has announced clients at lane number LANE of the newest generation. */
void acceptor_mark_ready(struct acceptor *acceptor, size_t wl);

/* Looks into every queue, paused or not, in the next acceptor_run(): another worker can't take a
 * client that epoll has announced to it alone. */
void acceptor_look_again(struct acceptor *acceptor);

/* Accepts and greets a few of the clients that wait, and takes accepting up again where it was
 * paused and may go on. Must come after all events of the same epoll_wait(2) have been seen: taking
 * a client may mean evicting another, of which an event would still speak. Returns 0, or a negative
 * errno if a socket has become useless. */
int acceptor_run(struct acceptor *acceptor, uint64_t now_usec);

/* When acceptor_run() has something to do though no event has come: USEC_INFINITY, a time, or 0
 * for at once. */
uint64_t acceptor_next_deadline(const struct acceptor *acceptor);

/* Lets go of every socket at once. */
void acceptor_close(struct acceptor *acceptor);

/* Stops accepting. The queue of a socket that is handed on is left to the next process; others are
 * let go as soon as it is empty. */
void acceptor_stop(struct acceptor *acceptor);

/* Whether any socket is still accepted from. */
bool acceptor_is_open(const struct acceptor *acceptor);
