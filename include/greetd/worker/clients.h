/* SPDX-License-Identifier: MIT */
#pragma once

/* The clients that one worker holds: a table allocated once, and for each client that can't go on a
 * queue in which it waits. Only the worker's own thread comes here. Times are CLOCK_MONOTONIC in
 * microseconds. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "greetd/base/timeout_queue.h"
#include "greetd/greeting/render.h"
#include "greetd/journal/logger.h"
#include "greetd/metrics/metrics.h"
#include "greetd/worker/conn.h"
#include "greetd/worker/generation.h"

struct clients {
    int epoll_fd;          /* borrowed: the worker's */
    struct logger *logger; /* borrowed */
    unsigned worker, n_workers;
    struct generation *newest;         /* owned, and the older ones behind it */
    struct conn *table;                /* owned */
    size_t capacity, touched;          /* places in it, and how many of them were ever used */
    struct timeout_entry *vacant;      /* places in the table that were used and are free again */
    struct timeout_queue soon;         /* those to be looked at after CONN_SOON_USEC */
    size_t n;                          /* how many clients there are */
    uint64_t n_ended;                  /* how many there have been besides */
    uint64_t last_number;              /* of a client, for its GREETD_CONNECTION= */
    struct metrics_counters *counters; /* borrowed: this worker's */
    struct render render;              /* of greetings with variables, for all lanes */
};

/* Who a worker is, for its clients. All borrowed. */
struct clients_worker {
    unsigned index, n_workers;
    int epoll_fd;
    struct logger *logger;
    struct metrics_counters *counters;
    struct variable_text metrics_text; /* what $metrics stands for */
};

/* Makes room for up to CAPACITY (at least 1) clients of GENERATION, which is taken over in any
 * case. Returns 0 or -ENOMEM; clients_deinit() is due in either case. The memory is touched only as
 * it is used. */
int clients_init(struct clients *clients, size_t capacity, struct generation *generation,
                 const struct clients_worker *worker);

/* From now on serves GENERATION, which is taken over, and the older ones until they are done. */
void clients_adopt(struct clients *clients, struct generation *generation);

/* Frees the generations before the newest that are not in use any more. */
void clients_retire(struct clients *clients);

/* Frees the table, the rendering and all generations. No client must be left. */
void clients_deinit(struct clients *clients);

/* Whether one more can be taken without evicting another. */
static inline bool clients_have_room(const struct clients *clients)
{
    return clients->n < clients->capacity;
}

/* Whether clients_evict_oldest() would find a client. */
bool clients_can_evict(const struct clients *clients, uint64_t now_usec);

/* Ends the client that has lingered for longest. If none lingers, ends the one that has waited
 * longest of those greeted just now and those expected to speak, or else the oldest that is still
 * to acknowledge a little of its greeting, or has acknowledged nothing for LingerSec=. Returns
 * false if there is none of these either. */
bool clients_evict_oldest(struct clients *clients, uint64_t now_usec);

/* Takes FD, just accepted from the socket of LANE, and greets PEER as far as possible. There must
 * be room. */
void clients_add(struct clients *clients, struct wl *wl, int fd, struct peer peer,
                 uint64_t now_usec);

/* Goes on with the client at INDEX of the table, of which epoll has spoken. */
void clients_step(struct clients *clients, size_t index, uint64_t now_usec);

/* Goes on with, or ends, all whose time is over. */
void clients_expire(struct clients *clients, uint64_t now_usec);

/* When clients_expire() is due next; USEC_INFINITY if nobody waits. */
uint64_t clients_next_deadline(const struct clients *clients);

/* Ends all that are left. */
void clients_close_all(struct clients *clients, uint64_t now_usec);
