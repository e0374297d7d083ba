/* SPDX-License-Identifier: MIT */
#pragma once

/* The clients that one worker holds: a table allocated once, and for each client that can't go on a
 * queue in which it waits. Only the worker's own thread comes here. Times are CLOCK_MONOTONIC in
 * microseconds. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "greetd/conn.h"
#include "greetd/connlog.h"
#include "greetd/deadline.h"
#include "greetd/endpoint.h"
#include "greetd/metrics.h"

/* The clients that came through one listening socket. They have the same timeouts, so each of its
 * queues is in the order of its deadlines. */
struct clients_lane {
    struct conn_terms terms;
    struct deadline_fifo writing, lingering;
};

struct clients {
    int epoll_fd;            /* borrowed: the worker's */
    struct connlog *connlog; /* borrowed */
    unsigned worker, n_workers;
    struct clients_lane *lanes; /* owned; one for each endpoint */
    size_t n_lanes;
    struct conn *table;                /* owned */
    size_t capacity, touched;          /* places in it, and how many of them were ever used */
    struct deadline_entry *vacant;     /* places in the table that were used and are free again */
    struct deadline_fifo soon;         /* those to be looked at after CONN_SOON_USEC */
    size_t n;                          /* how many clients there are */
    uint64_t n_ended;                  /* how many there have been besides */
    uint64_t last_number;              /* of a client, for its GREETD_CONNECTION= */
    struct metrics_counters *counters; /* borrowed: this worker's */
};

/* Who a worker is, for its clients. All borrowed. */
struct clients_worker {
    unsigned index, n_workers;
    int epoll_fd;
    struct connlog *connlog;
    struct metrics_counters *counters;
};

/* Makes room for up to CAPACITY (at least 1) clients of ENDPOINTS. Returns 0 or -ENOMEM;
 * clients_deinit() is due in either case. The memory is touched only as it is used. */
int clients_init(struct clients *clients, size_t capacity, const struct endpoints *endpoints,
                 const struct clients_worker *worker);

/* Frees the tables. No client must be left. */
void clients_deinit(struct clients *clients);

/* Whether one more can be taken without letting another go. */
static inline bool clients_have_room(const struct clients *clients)
{
    return clients->n < clients->capacity;
}

/* Whether clients_let_go_oldest() would find someone. */
bool clients_can_let_go(const struct clients *clients);

/* Ends the client that was greeted longest ago and still has not closed. Returns false if there is
 * none. */
bool clients_let_go_oldest(struct clients *clients, uint64_t now_usec);

/* Takes FD, just accepted from endpoint number LANE, and greets PEER as far as possible. There must
 * be room. */
void clients_admit(struct clients *clients, size_t lane, int fd, struct peer peer,
                   uint64_t now_usec);

/* Goes on with the client at INDEX of the table, of which epoll has spoken. */
void clients_step(struct clients *clients, size_t index, uint64_t now_usec);

/* Goes on with, or ends, all whose time is over. */
void clients_expire(struct clients *clients, uint64_t now_usec);

/* When clients_expire() is due next; DEADLINE_NEVER if nobody waits. */
uint64_t clients_next_deadline(const struct clients *clients);

/* Ends all that are left. */
void clients_abandon(struct clients *clients, uint64_t now_usec);
