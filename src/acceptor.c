/* SPDX-License-Identifier: MIT */
#include "greetd/acceptor.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "greetd/sockutil.h"

/* Taken from one queue before others have their turn. */
#define ACCEPTOR_BATCH 16

/* Out of descriptors, and nobody of ours can be let go: when to look whether another process has
 * freed one. */
#define ACCEPTOR_RETRY_USEC 8000

/* Failing again within this time is the same episode, and not logged again. */
#define ACCEPTOR_EPISODE_USEC 10000000

static int watch(struct acceptor *acceptor, size_t i)
{
    struct acceptor_lane *lane = &acceptor->lanes[i];
    struct epoll_event event = {
        .events = EPOLLIN | EPOLLEXCLUSIVE,
        .data.u64 = source_pack(SOURCE_LISTENER, i),
    };

    if (!lane->open || lane->watched)
        return 0;
    if (epoll_ctl(acceptor->epoll_fd, EPOLL_CTL_ADD, acceptor->endpoints->at[i].listener->fd,
                  &event) < 0)
        return -errno;
    lane->watched = true;
    /* Another worker may have emptied the queue since, and of an empty queue there is no event. */
    lane->ready = acceptor->emptying;
    return 0;
}

/* An entry with EPOLLEXCLUSIVE can't be modified, so it is taken out (epoll_ctl(2)). */
static void unwatch(struct acceptor *acceptor, size_t i)
{
    struct acceptor_lane *lane = &acceptor->lanes[i];

    if (lane->watched)
        (void)epoll_ctl(acceptor->epoll_fd, EPOLL_CTL_DEL, acceptor->endpoints->at[i].listener->fd,
                        NULL);
    lane->watched = false;
    lane->ready = false;
}

static void close_lane(struct acceptor *acceptor, size_t i)
{
    unwatch(acceptor, i);
    acceptor->lanes[i].open = false;
}

/* Whoever comes next wakes another worker. That is why this happens as soon as no more can be
 * taken, and not only when someone has come: the kernel would have woken us alone, and nobody else
 * would know of that client. */
static void pause_until(struct acceptor *acceptor, uint64_t resume_usec)
{
    acceptor->paused = true;
    acceptor->resume_usec = resume_usec;
    acceptor->n_ended_at_pause = acceptor->clients->n_ended;
    for (size_t i = 0; i < acceptor->endpoints->n; i++)
        unwatch(acceptor, i);
}

int acceptor_start(struct acceptor *acceptor)
{
    acceptor->paused = false;
    acceptor->resume_usec = DEADLINE_NEVER;
    for (size_t i = 0; i < acceptor->endpoints->n; i++) {
        int r = watch(acceptor, i);
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
        connlog_exhausted(acceptor->clients->connlog, acceptor->clients->worker, error);
}

/* Out of descriptors or memory. The queue stays readable, so a level-triggered loop that only came
 * back would spin; an edge-triggered one would never be told again. Here the oldest client that has
 * had its greeting makes room; if there is none, the sockets leave epoll until a client of ours
 * goes, or a short timer looks whether someone else has freed a descriptor. Returns whether to try
 * again at once. */
static bool make_room(struct acceptor *acceptor, int error, uint64_t now_usec)
{
    log_episode(acceptor, error, now_usec);
    if (clients_let_go_oldest(acceptor->clients, now_usec))
        return true;
    pause_until(acceptor, now_usec + ACCEPTOR_RETRY_USEC);
    return false;
}

/* Every worker has a share of MaxConnections=. One whose share is used up leaves newcomers to the
 * others as long as these have room; so it need not know of them for each client, only now. */
static bool pool_is_full(const struct acceptor *acceptor)
{
    const struct metrics_sums sums = metrics_sum(&acceptor->shared->metrics);

    return metrics_active(&sums) >= acceptor->shared->max_connections;
}

/* At MaxConnections=, who was greeted longest ago is let go for the next. */
static bool can_take_one_more(const struct acceptor *acceptor)
{
    return clients_have_room(acceptor->clients) ||
           (clients_can_let_go(acceptor->clients) && pool_is_full(acceptor));
}

/* The next ones go to other workers; if all are still being greeted everywhere, they wait in the
 * queue. The others fill up without telling us, so this has to be looked at again. */
static bool pause_if_full(struct acceptor *acceptor, uint64_t now_usec)
{
    if (can_take_one_more(acceptor))
        return false;
    pause_until(acceptor, now_usec + ACCEPTOR_RETRY_USEC);
    return true;
}

static struct peer identify_peer(int fd, const struct sockaddr *sa, socklen_t length)
{
    struct peer peer = peer_from_sockaddr(sa, length);
    struct ucred credentials;
    socklen_t size = sizeof(credentials);

    if (peer.family == AF_UNIX &&
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0) {
        peer.un.pid = (uint32_t)credentials.pid;
        peer.un.uid = credentials.uid;
    }
    return peer;
}

/* accept4(2) looks for a descriptor before it looks into the queue, so its errors do not tell.
 * Leaves errno as it is. */
static bool somebody_waits(const struct acceptor *acceptor, size_t i)
{
    struct pollfd poll_fd = {.fd = acceptor->endpoints->at[i].listener->fd, .events = POLLIN};
    int error = errno;
    bool waits = poll(&poll_fd, 1, 0) > 0;

    errno = error;
    return waits;
}

/* Accepts and greets one client, who can be taken. Returns 0, whether it was there or not, or what
 * accept4(2) failed with. */
static int accept_one(struct acceptor *acceptor, size_t i, uint64_t now_usec)
{
    union {
        struct sockaddr sa;
        struct sockaddr_storage storage;
    } address;
    socklen_t length = sizeof(address);
    int fd = accept4(acceptor->endpoints->at[i].listener->fd, &address.sa, &length,
                     SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0 && sockutil_accept_class(errno) == SOCKUTIL_ACCEPT_EXHAUSTED)
        return somebody_waits(acceptor, i) ? -errno : -EAGAIN;
    if (fd < 0)
        return -errno;
    if (!clients_have_room(acceptor->clients))
        (void)clients_let_go_oldest(acceptor->clients, now_usec);
    clients_admit(acceptor->clients, i, fd, identify_peer(fd, &address.sa, length), now_usec);
    return 0;
}

static int accept_batch(struct acceptor *acceptor, size_t i, uint64_t now_usec)
{
    for (unsigned n = 0; n < ACCEPTOR_BATCH && acceptor->lanes[i].ready; n++) {
        if (pause_if_full(acceptor, now_usec))
            return 0;
        int r = accept_one(acceptor, i, now_usec);
        if (r == 0)
            continue;
        switch (sockutil_accept_class(-r)) {
        case SOCKUTIL_ACCEPT_EMPTY:
            acceptor->lanes[i].ready = false;
            if (acceptor->emptying)
                close_lane(acceptor, i);
            break;
        case SOCKUTIL_ACCEPT_NEXT:
            break;
        case SOCKUTIL_ACCEPT_EXHAUSTED:
            if (!make_room(acceptor, -r, now_usec))
                return 0;
            break;
        case SOCKUTIL_ACCEPT_BROKEN:
            return r;
        }
    }
    return 0;
}

static bool is_due(const struct acceptor *acceptor, uint64_t now_usec)
{
    return acceptor->resume_usec <= now_usec ||
           acceptor->clients->n_ended != acceptor->n_ended_at_pause;
}

/* Has every queue looked into, as long as epoll does not do it for us. */
static void try_all(struct acceptor *acceptor)
{
    acceptor->paused = false;
    acceptor->resume_usec = DEADLINE_NEVER;
    for (size_t i = 0; i < acceptor->endpoints->n; i++)
        acceptor->lanes[i].ready = acceptor->lanes[i].open;
}

/* After a pause: epoll may have no room either, as yet. */
static int watch_again(struct acceptor *acceptor, uint64_t now_usec)
{
    int r = acceptor_start(acceptor);

    if (r != -ENOMEM && r != -ENOSPC)
        return r;
    pause_until(acceptor, now_usec + ACCEPTOR_RETRY_USEC);
    return 0;
}

/* While descriptors are short, a try costs one accept4(2) and leaves epoll alone. */
int acceptor_run(struct acceptor *acceptor, uint64_t now_usec)
{
    bool resuming =
        acceptor->paused && is_due(acceptor, now_usec) && !pause_if_full(acceptor, now_usec);
    int r = 0;

    if (resuming)
        try_all(acceptor);
    for (size_t i = 0; r >= 0 && i < acceptor->endpoints->n; i++)
        r = accept_batch(acceptor, i, now_usec);
    if (r >= 0 && resuming && !acceptor->paused)
        r = watch_again(acceptor, now_usec);
    if (!acceptor->paused)
        (void)pause_if_full(acceptor, now_usec);
    return r;
}

void acceptor_announce(struct acceptor *acceptor, size_t lane)
{
    acceptor->lanes[lane].ready = acceptor->lanes[lane].watched;
}

uint64_t acceptor_next_deadline(const struct acceptor *acceptor)
{
    for (size_t i = 0; i < acceptor->endpoints->n; i++)
        if (acceptor->lanes[i].ready)
            return 0;
    return acceptor->resume_usec;
}

void acceptor_stop(struct acceptor *acceptor)
{
    for (size_t i = 0; i < acceptor->endpoints->n; i++)
        close_lane(acceptor, i);
}

void acceptor_empty(struct acceptor *acceptor)
{
    acceptor->emptying = true;
    for (size_t i = 0; i < acceptor->endpoints->n; i++)
        acceptor->lanes[i].ready = acceptor->lanes[i].watched;
}

bool acceptor_is_open(const struct acceptor *acceptor)
{
    for (size_t i = 0; i < acceptor->endpoints->n; i++)
        if (acceptor->lanes[i].open)
            return true;
    return false;
}

int acceptor_init(struct acceptor *acceptor, const struct endpoints *endpoints, int epoll_fd,
                  struct clients *clients, struct acceptor_shared *shared)
{
    *acceptor = (struct acceptor){
        .epoll_fd = epoll_fd,
        .endpoints = endpoints,
        .clients = clients,
        .resume_usec = DEADLINE_NEVER,
        .shared = shared,
    };
    acceptor->lanes = calloc(endpoints->n, sizeof(*acceptor->lanes));
    if (!acceptor->lanes)
        return -ENOMEM;
    for (size_t i = 0; i < endpoints->n; i++)
        acceptor->lanes[i].open = true;
    return 0;
}

void acceptor_deinit(struct acceptor *acceptor)
{
    free(acceptor->lanes);
    acceptor->lanes = NULL;
}
