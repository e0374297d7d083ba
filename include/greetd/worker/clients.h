/* SPDX-License-Identifier: MIT */
#pragma once

/* The clients of one worker: a table allocated once, and a queue for each kind of wait. Only for
 * the thread of the worker. Times are CLOCK_MONOTONIC in microseconds. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "greetd/base/timeout_queue.h"
#include "greetd/worker/conn.h"
#include "greetd/worker/context.h"
#include "greetd/worker/generation.h"

struct clients {
    struct worker_context *context; /* borrowed */
    struct generation *newest;      /* owned, and the older ones behind it */
    struct conn *table;             /* owned */
    struct peer *own_peers;  /* owned: with ProxyProtocol=yes, the own address of each client */
    size_t capacity, n_used; /* places in the table, and how many were ever used */
    struct timeout_entry *vacant; /* places that were used and are free again */
    /* Clients to poll after CONN_SOON_USEC, and again after CONN_AGAIN_USEC. */
    struct timeout_queue soon[CONN_POLLS];
    size_t n;             /* connected clients */
    uint64_t n_ended;     /* clients that have ended */
    uint64_t last_number; /* of a client, for its GREETD_CONNECTION= */
};

/* Makes room for CAPACITY (at least 1) clients of GENERATION, which is taken over in any case. The
 * memory is touched only as it is used. Returns 0 or -ENOMEM; clients_deinit() is due in either
 * case. */
int clients_init(struct clients *clients, size_t capacity, struct generation *generation,
                 struct worker_context *context);

/* Serves GENERATION, which is taken over, from now on; older generations stay while in use. */
void clients_adopt(struct clients *clients, struct generation *generation);

/* Frees the table and all generations. No client must be left. */
void clients_deinit(struct clients *clients);

/* Returns how many places this worker keeps free; see generation_places_kept(). */
size_t clients_places_kept(const struct clients *clients);

/* Whether a client of LISTENER may be added without evicting another. */
static inline bool clients_have_room(const struct clients *clients,
                                     const struct worker_listener *listener)
{
    if (clients->n + clients->newest->n_listeners <= clients->capacity)
        return true;
    return clients->n + (worker_listener_has_clients(listener) ? clients_places_kept(clients) : 0) <
           clients->capacity;
}

/* Whether clients_evict_oldest() would find a client. */
bool clients_can_evict(const struct clients *clients, uint64_t now_usec);

/* Closes the client that eviction chooses. Returns false if there is none. */
bool clients_evict_oldest(struct clients *clients, uint64_t now_usec);

/* Adds the client ACCEPTED and greets it as far as possible. There must be room. */
void clients_add(struct clients *clients, const struct conn_accepted *accepted, uint64_t now_usec);

/* Greets the client ACCEPTED as far as possible and closes it, so that it needs no place. */
void clients_add_and_close(struct clients *clients, const struct conn_accepted *accepted,
                           uint64_t now_usec);

/* Continues with the client at INDEX of the table, for which epoll has an event. */
void clients_step(struct clients *clients, size_t index, uint64_t now_usec);

/* Continues with all clients whose timeout is over, or closes them. */
void clients_expire(struct clients *clients, uint64_t now_usec);

/* When clients_expire() is due next; USEC_INFINITY without a client that waits. */
uint64_t clients_next_deadline(const struct clients *clients);

/* Closes all clients. */
void clients_close_all(struct clients *clients, uint64_t now_usec);
