/* SPDX-License-Identifier: MIT */
#include "greetd/worker/acceptor.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "greetd/base/clock.h"
#include "greetd/net/accept_error.h"
#include "greetd/net/socket.h"

/* Clients accepted from one queue before the next has its turn. */
#define ACCEPTOR_BATCH 16

/* When to try a paused socket again: another process may have freed a descriptor, or another worker
 * may be full by then. */
#define ACCEPTOR_RETRY_USEC 20000

/* A further failure within this time belongs to the same episode, which is logged once. */
#define ACCEPTOR_EPISODE_USEC 10000000

/* A draining socket is not added: it is tried until its queue is empty. */
static int watch(struct acceptor *acceptor, struct worker_listener *wl)
{
    struct epoll_event event = {
        .events = EPOLLIN | EPOLLEXCLUSIVE,
        .data.u64 = event_pack(EVENT_LISTENER, (size_t)(wl - wl->generation->listeners)),
    };

    if (!wl->open || wl->watched || wl->draining)
        return 0;
    if (epoll_ctl(acceptor->context->epoll_fd, EPOLL_CTL_ADD, wl->listener->fd, &event) < 0)
        return -errno;
    wl->watched = true;
    return 0;
}

/* An entry with EPOLLEXCLUSIVE can't be modified, so it is taken out (epoll_ctl(2)). */
static void unwatch(struct acceptor *acceptor, struct worker_listener *wl)
{
    if (wl->watched)
        (void)epoll_ctl(acceptor->context->epoll_fd, EPOLL_CTL_DEL, wl->listener->fd, NULL);
    wl->watched = false;
    wl->ready = false;
}

static void close_listener(struct acceptor *acceptor, struct worker_listener *wl)
{
    if (!wl->open)
        return;
    unwatch(acceptor, wl);
    wl->open = false;
    if (listener_release(wl->listener))
        (void)eventfd_write(acceptor->context->shared->changed_fd, 1);
}

/* From now on the socket is accepted from until its queue is empty. */
static void drain_listener(struct acceptor *acceptor, struct worker_listener *wl)
{
    unwatch(acceptor, wl);
    worker_listener_drain(wl);
}

/* Leave epoll as soon as the next client could not be taken. Otherwise the kernel may wake only
 * this worker, and no other learns of the client. */
static void pause_listener(struct acceptor *acceptor, struct worker_listener *wl, uint64_t now_usec)
{
    if (!wl->open)
        return;
    acceptor->left_epoll |= wl->watched;
    unwatch(acceptor, wl);
    wl->paused = true;
    acceptor->resume_usec = now_usec + ACCEPTOR_RETRY_USEC;
    acceptor->n_ended_at_pause = acceptor->clients->n_ended;
}

static void pause_all(struct acceptor *acceptor, uint64_t now_usec)
{
    FOR_EACH_WORKER_LISTENER (wl, acceptor->clients->newest)
        pause_listener(acceptor, wl, now_usec);
}

int acceptor_start(struct acceptor *acceptor)
{
    FOR_EACH_WORKER_LISTENER (wl, acceptor->clients->newest) {
        int r = watch(acceptor, wl);
        if (r < 0)
            return r;
    }
    return 0;
}

static void log_episode(struct acceptor *acceptor, int error, uint64_t now_usec)
{
    struct worker_shared *shared = acceptor->context->shared;
    uint64_t last = atomic_exchange_explicit(&shared->paused_usec, now_usec, memory_order_relaxed);

    /* The time of another worker may be a little later than ours. */
    if (last == 0 || now_usec > last + ACCEPTOR_EPISODE_USEC)
        logger_log_accept_paused(shared->logger, acceptor->context->index, error);
}

/* Out of descriptors or memory the queue stays readable: a level-triggered loop would spin, an
 * edge-triggered one would get no further event. So a client is evicted. Without one to evict, the
 * sockets leave epoll, the other workers try to evict one, and a short timer tries again. */
static void make_room(struct acceptor *acceptor, int error, uint64_t now_usec)
{
    log_episode(acceptor, error, now_usec);
    if (!clients_evict_oldest(acceptor->clients, now_usec))
        pause_all(acceptor, now_usec);
}

/* Each worker has a share of MaxConnections=. A worker whose share is used up leaves clients to the
 * others while they have room, and only then has to read their counters. */
static bool pool_is_full(const struct acceptor *acceptor)
{
    const struct worker_shared *shared = acceptor->context->shared;
    const struct metrics_sums sums = metrics_sum(shared->metrics);

    return metrics_active(&sums) + shared->metrics->n * clients_places_kept(acceptor->clients) >=
           shared->max_connections;
}

/* At MaxConnections= a client is evicted for the next one if no other worker would take it. */
static bool can_accept(const struct acceptor *acceptor, const struct worker_listener *wl,
                       uint64_t now_usec)
{
    bool is_alone = wl->draining && worker_listener_is_shard(wl);

    return clients_have_room(acceptor->clients, wl) ||
           (clients_can_evict(acceptor->clients, now_usec) && (is_alone || pool_is_full(acceptor)));
}

/* No client is evicted for one that is closed at once. */
static void admit(struct acceptor *acceptor, const struct conn_accepted *accepted,
                  uint64_t now_usec)
{
    struct clients *clients = acceptor->clients;
    bool waits = accepted->admission.refusal == REFUSAL_NONE || accepted->listener->refusal.text;

    if (waits && !clients_have_room(clients, accepted->listener))
        (void)clients_evict_oldest(clients, now_usec);
    /* The client to evict depends on what the kernel says, now other than before accept4(2). */
    if (waits && clients->n < clients->capacity)
        clients_add(clients, accepted, now_usec);
    else
        clients_add_and_close(clients, accepted, now_usec);
}

/* Accepts and greets one client. Returns 0 or a negative errno of accept4(2). */
static int accept_one(struct acceptor *acceptor, struct worker_listener *wl, uint64_t now_usec)
{
    struct conn_accepted accepted = {.listener = wl};

    accepted.fd = socket_accept(worker_listener_queue(wl), &accepted.peer);
    if (accepted.fd < 0)
        return accepted.fd;
    accepted.admission = conn_admit(wl, &accepted.peer, now_usec, acceptor->context);
    admit(acceptor, &accepted, now_usec);
    return 0;
}

/* A client wakes the one of the sleeping workers that has been in epoll longest, so nearly always
 * the same one. After a batch it is added again, as the last; watch_again() acts on a failure. */
static void take_turns(struct acceptor *acceptor, struct worker_listener *wl)
{
    if (acceptor->clients->last_number < acceptor->next_turn || worker_listener_is_shard(wl) ||
        acceptor->context->shared->metrics->n == 1)
        return;
    acceptor->next_turn = acceptor->clients->last_number + ACCEPTOR_BATCH;
    unwatch(acceptor, wl);
    acceptor->left_epoll |= watch(acceptor, wl) < 0;
}

/* Acts on ERROR of accept4(2). Returns it, negative, if the socket is of no more use, else 0. */
static int handle_accept_error(struct acceptor *acceptor, struct worker_listener *wl, int error,
                               uint64_t now_usec)
{
    switch (accept_error_class(error)) {
    case ACCEPT_QUEUE_EMPTY:
        if (worker_listener_next_queue(wl))
            return 0;
        wl->ready = false;
        if (wl->draining)
            close_listener(acceptor, wl);
        else
            take_turns(acceptor, wl);
        return 0;
    case ACCEPT_CLIENT_GONE:
        metrics_add_accept_error(acceptor->context->counters, error);
        return 0;
    case ACCEPT_DENIED:
        metrics_add_accept_error(acceptor->context->counters, error);
        log_episode(acceptor, error, now_usec);
        pause_listener(acceptor, wl, now_usec);
        return 0;
    case ACCEPT_NO_RESOURCES:
        metrics_add_accept_error(acceptor->context->counters, error);
        make_room(acceptor, error, now_usec);
        return 0;
    case ACCEPT_SOCKET_BROKEN:
        break;
    }
    return -error;
}

static int accept_batch(struct acceptor *acceptor, struct worker_listener *wl, uint64_t now_usec)
{
    for (unsigned n = 0; n < ACCEPTOR_BATCH && wl->ready; n++) {
        if (!can_accept(acceptor, wl, now_usec)) {
            pause_listener(acceptor, wl, now_usec);
            return 0;
        }
        int r = accept_one(acceptor, wl, now_usec);
        if (r < 0)
            r = handle_accept_error(acceptor, wl, -r, now_usec);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Begins behind the listener that a client was last accepted from: while places are few, the first
 * listener would get them all. */
static int accept_from_all(struct acceptor *acceptor, uint64_t now_usec)
{
    size_t first = acceptor->turn;

    for (unsigned pass = 0; pass < 2; pass++) {
        size_t i = 0;

        FOR_EACH_WORKER_LISTENER (wl, acceptor->clients->newest) {
            uint64_t n_before = acceptor->clients->last_number;
            int r = (i++ < first) == pass ? accept_batch(acceptor, wl, now_usec) : 0;

            if (r < 0)
                return r;
            if (acceptor->clients->last_number != n_before)
                acceptor->turn = i;
        }
    }
    return 0;
}

static bool is_retry_due(const struct acceptor *acceptor, uint64_t now_usec)
{
    return acceptor->resume_usec <= now_usec ||
           (acceptor->resume_usec != USEC_INFINITY &&
            acceptor->clients->n_ended != acceptor->n_ended_at_pause);
}

/* Has accept_batch() try the queues of paused sockets once more. */
static void retry_paused(struct acceptor *acceptor)
{
    acceptor->resume_usec = USEC_INFINITY;
    FOR_EACH_WORKER_LISTENER (wl, acceptor->clients->newest)
        if (wl->paused) {
            wl->paused = false;
            wl->ready = wl->open;
        }
}

/* Adds to epoll the sockets whose queue is empty, if a client could be accepted. While descriptors
 * or places are short, a retry costs one system call and leaves epoll alone. */
static int watch_again(struct acceptor *acceptor, uint64_t now_usec)
{
    FOR_EACH_WORKER_LISTENER (wl, acceptor->clients->newest) {
        if (!wl->open || wl->paused || wl->ready)
            continue;
        int r = can_accept(acceptor, wl, now_usec) ? watch(acceptor, wl) : -ENOSPC;

        if (r == -ENOMEM || r == -ENOSPC)
            pause_listener(acceptor, wl, now_usec);
        else if (r < 0)
            return r;
    }
    return 0;
}

/* Epoll may have reported a client to this worker alone, before the socket left it. To a shard, it
 * reports all clients to this worker alone, so the others are asked again and again. One worker
 * asks for all: if each of many asked all others, they would do little else. */
static void ask_others_to_look(struct acceptor *acceptor, uint64_t now_usec)
{
    struct worker_shared *shared = acceptor->context->shared;
    bool left_epoll = acceptor->left_epoll;
    uint64_t last = atomic_load_explicit(&shared->asked_usec, memory_order_relaxed);

    if (!left_epoll && now_usec < last + ACCEPTOR_RETRY_USEC)
        return;
    acceptor->left_epoll = false;
    FOR_EACH_WORKER_LISTENER (wl, acceptor->clients->newest)
        if (wl->paused && (left_epoll || worker_listener_is_shard(wl)) &&
            socket_is_readable(wl->listener->fd)) {
            /* If another worker was faster, it asks from now on, and so for this one as well. */
            if (atomic_compare_exchange_strong(&shared->asked_usec, &last, now_usec))
                (void)eventfd_write(shared->look_fd, 1);
            return;
        }
}

int acceptor_run(struct acceptor *acceptor, uint64_t now_usec)
{
    if (acceptor->held)
        return 0;
    if (is_retry_due(acceptor, now_usec))
        retry_paused(acceptor);
    int r = accept_from_all(acceptor, now_usec);
    if (r >= 0)
        r = watch_again(acceptor, now_usec);
    ask_others_to_look(acceptor, now_usec);
    return r;
}

void acceptor_look_again(struct acceptor *acceptor)
{
    retry_paused(acceptor);
    FOR_EACH_WORKER_LISTENER (wl, acceptor->clients->newest)
        worker_listener_look(wl);
}

void acceptor_mark_ready(struct acceptor *acceptor, size_t index)
{
    struct worker_listener *wl = &acceptor->clients->newest->listeners[index];

    wl->ready = wl->watched;
}

uint64_t acceptor_next_deadline(const struct acceptor *acceptor)
{
    if (acceptor->held)
        return USEC_INFINITY;
    FOR_EACH_WORKER_LISTENER (wl, acceptor->clients->newest)
        if (wl->ready)
            return 0;
    return acceptor->resume_usec;
}

int acceptor_adopt(struct acceptor *acceptor, struct generation *generation)
{
    bool look = false;

    /* Also of older generations: one may still drain a socket that is configured again. */
    FOR_EACH_WORKER_LISTENER (wl, acceptor->clients->newest)
        if (snapshot_has(generation->snapshot, wl->listener)) {
            close_listener(acceptor, wl);
            look |= generation_leaves_client(generation, wl->listener);
        } else {
            drain_listener(acceptor, wl);
        }
    clients_adopt(acceptor->clients, generation);
    /* Epoll may have reported the client to this worker alone. */
    if (look)
        (void)eventfd_write(acceptor->context->shared->look_fd, 1);
    return acceptor->held ? 0 : watch_again(acceptor, clock_now());
}

void acceptor_hold(struct acceptor *acceptor)
{
    pause_all(acceptor, 0);
    acceptor->held = true;
}

void acceptor_resume(struct acceptor *acceptor)
{
    acceptor->held = false;
    acceptor_look_again(acceptor);
}

void acceptor_close(struct acceptor *acceptor)
{
    FOR_EACH_WORKER_LISTENER (wl, acceptor->clients->newest)
        close_listener(acceptor, wl);
}

void acceptor_stop(struct acceptor *acceptor)
{
    acceptor->held = false;
    FOR_EACH_WORKER_LISTENER (wl, acceptor->clients->newest)
        if (wl->listener->handed_on)
            close_listener(acceptor, wl);
        else
            drain_listener(acceptor, wl);
}

bool acceptor_is_open(const struct acceptor *acceptor)
{
    FOR_EACH_WORKER_LISTENER (wl, acceptor->clients->newest)
        if (wl->open)
            return true;
    return false;
}

void acceptor_init(struct acceptor *acceptor, struct clients *clients,
                   struct worker_context *context)
{
    *acceptor =
        (struct acceptor){.context = context, .clients = clients, .resume_usec = USEC_INFINITY};
}
