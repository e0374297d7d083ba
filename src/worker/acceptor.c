/* SPDX-License-Identifier: MIT */
#include "greetd/worker/acceptor.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "greetd/base/clock.h"
#include "greetd/net/accept_error.h"
#include "greetd/net/socket.h"
#include "greetd/worker/event.h"

/* Taken from one queue before others have their turn. */
#define ACCEPTOR_BATCH 16

/* When to look again whether a paused socket can be accepted from: another process may have freed a
 * descriptor, or another worker may be full by then. */
#define ACCEPTOR_RETRY_USEC 20000

/* Failing again within this time is the same episode, and not logged again. */
#define ACCEPTOR_EPISODE_USEC 10000000

/* Epoll need not speak of one that is being emptied, only of who may still come to others. */
static int watch(struct acceptor *acceptor, struct wl *wl)
{
    struct epoll_event event = {
        .events = EPOLLIN | EPOLLEXCLUSIVE,
        .data.u64 = event_pack(EVENT_LISTENER, (size_t)(wl - wl->generation->listeners)),
    };

    if (!wl->open || wl->watched || wl->draining)
        return 0;
    if (epoll_ctl(acceptor->epoll_fd, EPOLL_CTL_ADD, wl->listener->fd, &event) < 0)
        return -errno;
    wl->watched = true;
    return 0;
}

/* An entry with EPOLLEXCLUSIVE can't be modified, so it is taken out (epoll_ctl(2)). */
static void unwatch(struct acceptor *acceptor, struct wl *wl)
{
    if (wl->watched)
        (void)epoll_ctl(acceptor->epoll_fd, EPOLL_CTL_DEL, wl->listener->fd, NULL);
    wl->watched = false;
    wl->ready = false;
}

static void close_listener(struct acceptor *acceptor, struct wl *wl)
{
    if (!wl->open)
        return;
    unwatch(acceptor, wl);
    wl->open = false;
    if (listener_release(wl->listener))
        (void)eventfd_write(acceptor->shared->changed_fd, 1);
}

/* From now on it is looked into until nobody is left in its queue. */
static void drain_listener(struct acceptor *acceptor, struct wl *wl)
{
    unwatch(acceptor, wl);
    wl->draining = wl->open;
    wl->ready = wl->open && !wl->paused;
}

/* A socket leaves epoll as soon as its next client could not be taken, and not only when that
 * client has come: otherwise the kernel might wake this worker alone, and no other would learn of
 * the client. */
static void pause_listener(struct acceptor *acceptor, struct wl *wl, uint64_t now_usec)
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
    FOR_EACH_WORKER_LISTENER(wl, acceptor->clients->newest)
    pause_listener(acceptor, wl, now_usec);
}

int acceptor_start(struct acceptor *acceptor)
{
    FOR_EACH_WORKER_LISTENER(wl, acceptor->clients->newest)
    {
        int r = watch(acceptor, wl);
        if (r < 0)
            return r;
    }
    return 0;
}

static void log_episode(struct acceptor *acceptor, int error, uint64_t now_usec)
{
    uint64_t last =
        atomic_exchange_explicit(&acceptor->shared->exhausted_usec, now_usec, memory_order_relaxed);

    /* Another worker may have been here with a time of its own that is a little later than ours. */
    if (last == 0 || now_usec > last + ACCEPTOR_EPISODE_USEC)
        logger_log_accept_paused(acceptor->clients->logger, acceptor->clients->worker, error);
}

/* Out of descriptors or memory. The queue stays readable, so a level-triggered loop that only came
 * back would spin; an edge-triggered one would never be told again. Here the oldest client that has
 * its greeting makes room; if there is none, the sockets leave epoll, other workers try to make
 * room among their clients, and a short timer looks whether a descriptor is free again. */
static void make_room(struct acceptor *acceptor, int error, uint64_t now_usec)
{
    log_episode(acceptor, error, now_usec);
    if (!clients_evict_oldest(acceptor->clients, now_usec))
        pause_all(acceptor, now_usec);
}

/* How many places each worker keeps free for listeners that have no client there, so that the slow
 * clients of one listener can't shut out those of another: one for each listener but the first, if
 * that is less than half of all. */
static size_t n_places_kept(const struct acceptor *acceptor)
{
    const struct acceptor_shared *shared = acceptor->shared;
    size_t n_listeners = acceptor->clients->newest->n_listeners;

    return 2 * n_listeners <= shared->max_connections / shared->metrics.n ? n_listeners - 1 : 0;
}

/* Every worker has a share of MaxConnections=. One whose share is used up leaves newcomers to the
 * others as long as these have room; so it need not know of them for each client, only now. */
static bool pool_is_full(const struct acceptor *acceptor)
{
    const struct acceptor_shared *shared = acceptor->shared;
    const struct metrics_sums sums = metrics_sum(&shared->metrics);

    return metrics_active(&sums) + shared->metrics.n * n_places_kept(acceptor) >=
           shared->max_connections;
}

/* Whether LANE may take one more without evicting another. */
static bool has_room(const struct acceptor *acceptor, const struct wl *wl)
{
    const struct clients *clients = acceptor->clients;

    if (clients->n + clients->newest->n_listeners <= clients->capacity)
        return true;
    return clients->n + (wl->n_clients > 0 ? n_places_kept(acceptor) : 0) < clients->capacity;
}

/* At MaxConnections= the oldest client that has its greeting is evicted for the next. */
static bool can_take_one_more(const struct acceptor *acceptor, const struct wl *wl,
                              uint64_t now_usec)
{
    return has_room(acceptor, wl) ||
           (clients_can_evict(acceptor->clients, now_usec) && pool_is_full(acceptor));
}

/* accept4(2) looks for a descriptor, and asks a security module, before it looks into the queue, so
 * that these errors are no sign of a client. */
static int why_not_accepted(const struct wl *wl, int error)
{
    enum accept_error_class class = accept_error_class(error);

    return (class == ACCEPT_NO_RESOURCES || class == ACCEPT_DENIED) &&
                   !socket_is_readable(wl->listener->fd)
               ? -EAGAIN
               : -error;
}

/* Accepts and greets one client, which can be taken. Returns 0, or what accept4(2) failed with. */
static int accept_one(struct acceptor *acceptor, struct wl *wl, uint64_t now_usec)
{
    union {
        struct sockaddr sa;
        struct sockaddr_storage storage;
    } address;
    socklen_t length = sizeof(address);
    int fd = accept4(wl->listener->fd, &address.sa, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0)
        return why_not_accepted(wl, errno);
    if (!has_room(acceptor, wl))
        (void)clients_evict_oldest(acceptor->clients, now_usec);
    clients_add(acceptor->clients, wl, fd, peer_of_socket(fd, &address.sa, length), now_usec);
    return 0;
}

/* Acts on what accept4(2) failed with. Returns it if the socket has become useless, else 0. */
static int follow_error(struct acceptor *acceptor, struct wl *wl, int error, uint64_t now_usec)
{
    switch (accept_error_class(error)) {
    case ACCEPT_QUEUE_EMPTY:
        wl->ready = false;
        if (wl->draining)
            close_listener(acceptor, wl);
        return 0;
    case ACCEPT_CLIENT_GONE:
        metrics_add_accept_error(acceptor->clients->counters, error);
        return 0;
    case ACCEPT_DENIED:
        metrics_add_accept_error(acceptor->clients->counters, error);
        log_episode(acceptor, error, now_usec);
        pause_listener(acceptor, wl, now_usec);
        return 0;
    case ACCEPT_NO_RESOURCES:
        metrics_add_accept_error(acceptor->clients->counters, error);
        make_room(acceptor, error, now_usec);
        return 0;
    case ACCEPT_SOCKET_BROKEN:
        break;
    }
    return -error;
}

static int accept_batch(struct acceptor *acceptor, struct wl *wl, uint64_t now_usec)
{
    for (unsigned n = 0; n < ACCEPTOR_BATCH && wl->ready; n++) {
        if (!can_take_one_more(acceptor, wl, now_usec)) {
            pause_listener(acceptor, wl, now_usec);
            return 0;
        }
        int r = accept_one(acceptor, wl, now_usec);
        if (r < 0)
            r = follow_error(acceptor, wl, -r, now_usec);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Begins with the lane whose turn it is, which is the one behind that which has last had a client
 * accepted: while places are few, the first listener would have them all. */
static int accept_from_all(struct acceptor *acceptor, uint64_t now_usec)
{
    size_t first = acceptor->turn;

    for (unsigned pass = 0; pass < 2; pass++) {
        size_t i = 0;

        FOR_EACH_WORKER_LISTENER(wl, acceptor->clients->newest)
        {
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

static bool is_due(const struct acceptor *acceptor, uint64_t now_usec)
{
    return acceptor->resume_usec <= now_usec ||
           (acceptor->resume_usec != USEC_INFINITY &&
            acceptor->clients->n_ended != acceptor->n_ended_at_pause);
}

/* Has the queues of paused sockets looked into once more. Whether that is of use shows in
 * accept_batch(). */
static void try_paused(struct acceptor *acceptor)
{
    acceptor->resume_usec = USEC_INFINITY;
    FOR_EACH_WORKER_LISTENER(wl, acceptor->clients->newest)
    if (wl->paused) {
        wl->paused = false;
        wl->ready = wl->open;
    }
}

/* Has epoll report what is not known to be in a queue already, as far as it could be taken. While
 * descriptors or places are short, a try costs one system call and leaves epoll alone. */
static int watch_again(struct acceptor *acceptor, uint64_t now_usec)
{
    FOR_EACH_WORKER_LISTENER(wl, acceptor->clients->newest)
    {
        if (!wl->open || wl->paused || wl->ready)
            continue;
        int r = can_take_one_more(acceptor, wl, now_usec) ? watch(acceptor, wl) : -ENOSPC;

        if (r == -ENOMEM || r == -ENOSPC)
            pause_listener(acceptor, wl, now_usec);
        else if (r < 0)
            return r;
    }
    return 0;
}

/* A client may have been announced to this worker alone before the socket left its epoll. */
static void ask_others_to_look(struct acceptor *acceptor)
{
    if (!acceptor->left_epoll)
        return;
    acceptor->left_epoll = false;
    FOR_EACH_WORKER_LISTENER(wl, acceptor->clients->newest)
    if (wl->paused && socket_is_readable(wl->listener->fd)) {
        (void)eventfd_write(acceptor->shared->look_fd, 1);
        return;
    }
}

int acceptor_run(struct acceptor *acceptor, uint64_t now_usec)
{
    if (acceptor->held)
        return 0;
    if (is_due(acceptor, now_usec))
        try_paused(acceptor);
    int r = accept_from_all(acceptor, now_usec);
    if (r >= 0)
        r = watch_again(acceptor, now_usec);
    ask_others_to_look(acceptor);
    return r;
}

void acceptor_look_again(struct acceptor *acceptor)
{
    try_paused(acceptor);
    FOR_EACH_WORKER_LISTENER(wl, acceptor->clients->newest)
    wl->ready = wl->open;
}

void acceptor_mark_ready(struct acceptor *acceptor, size_t wl)
{
    struct wl *announced = &acceptor->clients->newest->listeners[wl];

    announced->ready = announced->watched;
}

uint64_t acceptor_next_deadline(const struct acceptor *acceptor)
{
    if (acceptor->held)
        return USEC_INFINITY;
    FOR_EACH_WORKER_LISTENER(wl, acceptor->clients->newest)
    if (wl->ready)
        return 0;
    return acceptor->resume_usec;
}

int acceptor_adopt(struct acceptor *acceptor, struct generation *generation)
{
    /* Also of older generations, which still empty the queue of a socket that was not wanted for a
     * while. */
    FOR_EACH_WORKER_LISTENER(wl, acceptor->clients->newest)
    if (snapshot_has(generation->snapshot, wl->listener))
        close_listener(acceptor, wl);
    else
        drain_listener(acceptor, wl);
    clients_adopt(acceptor->clients, generation);
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
    FOR_EACH_WORKER_LISTENER(wl, acceptor->clients->newest)
    close_listener(acceptor, wl);
}

void acceptor_stop(struct acceptor *acceptor)
{
    acceptor->held = false;
    FOR_EACH_WORKER_LISTENER(wl, acceptor->clients->newest)
    if (wl->listener->handed_on)
        close_listener(acceptor, wl);
    else
        drain_listener(acceptor, wl);
}

bool acceptor_is_open(const struct acceptor *acceptor)
{
    FOR_EACH_WORKER_LISTENER(wl, acceptor->clients->newest)
    if (wl->open)
        return true;
    return false;
}

void acceptor_init(struct acceptor *acceptor, int epoll_fd, struct clients *clients,
                   struct acceptor_shared *shared)
{
    *acceptor = (struct acceptor){
        .epoll_fd = epoll_fd,
        .clients = clients,
        .resume_usec = USEC_INFINITY,
        .shared = shared,
    };
}
