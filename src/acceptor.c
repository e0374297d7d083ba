/* SPDX-License-Identifier: MIT */
#include "greetd/acceptor.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "greetd/sockutil.h"

/* Taken from one queue before others have their turn. */
#define ACCEPTOR_BATCH 16

/* Out of descriptors, and nobody of ours can be let go: when to look whether another process has
 * freed one. */
#define ACCEPTOR_RETRY_USEC 8000

/* Failing again within this time is the same episode, and not logged again. */
#define ACCEPTOR_EPISODE_USEC 10000000

/* All sockets that may still be accepted from; those of older generations are being emptied. */
#define FOR_EACH_LANE(lane, acceptor)                                                              \
    for (struct generation *_g = (acceptor)->clients->newest; _g; _g = _g->older)                  \
        for (struct lane *lane = _g->lanes; lane < _g->lanes + _g->n_lanes; lane++)

/* Epoll need not speak of one that is being emptied, only of who may still come to others. */
static int watch(struct acceptor *acceptor, struct lane *lane)
{
    struct epoll_event event = {
        .events = EPOLLIN | EPOLLEXCLUSIVE,
        .data.u64 = source_pack(SOURCE_LISTENER, (size_t)(lane - lane->generation->lanes)),
    };

    if (!lane->open || lane->watched || lane->emptying)
        return 0;
    if (epoll_ctl(acceptor->epoll_fd, EPOLL_CTL_ADD, lane->listener->fd, &event) < 0)
        return -errno;
    lane->watched = true;
    return 0;
}

/* An entry with EPOLLEXCLUSIVE can't be modified, so it is taken out (epoll_ctl(2)). */
static void unwatch(struct acceptor *acceptor, struct lane *lane)
{
    if (lane->watched)
        (void)epoll_ctl(acceptor->epoll_fd, EPOLL_CTL_DEL, lane->listener->fd, NULL);
    lane->watched = false;
    lane->ready = false;
}

static void close_lane(struct acceptor *acceptor, struct lane *lane)
{
    if (!lane->open)
        return;
    unwatch(acceptor, lane);
    lane->open = false;
    if (listener_release(lane->listener))
        (void)eventfd_write(acceptor->shared->changed_fd, 1);
}

/* From now on it is looked into until nobody is left in its queue. */
static void empty_lane(struct acceptor *acceptor, struct lane *lane)
{
    unwatch(acceptor, lane);
    lane->emptying = lane->open;
    lane->ready = lane->open && !acceptor->paused;
}

/* Whoever comes next wakes another worker. That is why this happens as soon as no more can be
 * taken, and not only when someone has come: the kernel would have woken us alone, and nobody else
 * would know of that client. */
static void pause_until(struct acceptor *acceptor, uint64_t resume_usec)
{
    acceptor->paused = true;
    acceptor->resume_usec = resume_usec;
    acceptor->n_ended_at_pause = acceptor->clients->n_ended;
    FOR_EACH_LANE (lane, acceptor)
        unwatch(acceptor, lane);
}

int acceptor_start(struct acceptor *acceptor)
{
    acceptor->paused = false;
    acceptor->resume_usec = DEADLINE_NEVER;
    FOR_EACH_LANE (lane, acceptor) {
        int r = watch(acceptor, lane);
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
static bool somebody_waits(const struct lane *lane)
{
    struct pollfd poll_fd = {.fd = lane->listener->fd, .events = POLLIN};
    int error = errno;
    bool waits = poll(&poll_fd, 1, 0) > 0;

    errno = error;
    return waits;
}

/* Accepts and greets one client, who can be taken. Returns 0, whether it was there or not, or what
 * accept4(2) failed with. */
static int accept_one(struct acceptor *acceptor, struct lane *lane, uint64_t now_usec)
{
    union {
        struct sockaddr sa;
        struct sockaddr_storage storage;
    } address;
    socklen_t length = sizeof(address);
    int fd = accept4(lane->listener->fd, &address.sa, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0 && sockutil_accept_class(errno) == SOCKUTIL_ACCEPT_EXHAUSTED)
        return somebody_waits(lane) ? -errno : -EAGAIN;
    if (fd < 0)
        return -errno;
    if (!clients_have_room(acceptor->clients))
        (void)clients_let_go_oldest(acceptor->clients, now_usec);
    clients_admit(acceptor->clients, lane, fd, identify_peer(fd, &address.sa, length), now_usec);
    return 0;
}

static int accept_batch(struct acceptor *acceptor, struct lane *lane, uint64_t now_usec)
{
    for (unsigned n = 0; n < ACCEPTOR_BATCH && lane->ready; n++) {
        if (pause_if_full(acceptor, now_usec))
            return 0;
        int r = accept_one(acceptor, lane, now_usec);
        if (r == 0)
            continue;
        switch (sockutil_accept_class(-r)) {
        case SOCKUTIL_ACCEPT_EMPTY:
            lane->ready = false;
            if (lane->emptying)
                close_lane(acceptor, lane);
            break;
        case SOCKUTIL_ACCEPT_NEXT:
            metrics_add_accept_error(acceptor->clients->counters, -r);
            break;
        case SOCKUTIL_ACCEPT_EXHAUSTED:
            metrics_add_accept_error(acceptor->clients->counters, -r);
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
    FOR_EACH_LANE (lane, acceptor)
        lane->ready = lane->open;
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

static int accept_from_all(struct acceptor *acceptor, uint64_t now_usec)
{
    FOR_EACH_LANE (lane, acceptor) {
        int r = accept_batch(acceptor, lane, now_usec);
        if (r < 0)
            return r;
    }
    return 0;
}

/* While descriptors are short, a try costs one accept4(2) and leaves epoll alone. */
int acceptor_run(struct acceptor *acceptor, uint64_t now_usec)
{
    if (acceptor->held)
        return 0;

    bool resuming =
        acceptor->paused && is_due(acceptor, now_usec) && !pause_if_full(acceptor, now_usec);
    if (resuming)
        try_all(acceptor);
    int r = accept_from_all(acceptor, now_usec);
    if (r >= 0 && resuming && !acceptor->paused)
        r = watch_again(acceptor, now_usec);
    if (!acceptor->paused)
        (void)pause_if_full(acceptor, now_usec);
    return r;
}

void acceptor_announce(struct acceptor *acceptor, size_t lane)
{
    struct lane *announced = &acceptor->clients->newest->lanes[lane];

    announced->ready = announced->watched;
}

uint64_t acceptor_next_deadline(const struct acceptor *acceptor)
{
    if (acceptor->held)
        return DEADLINE_NEVER;
    FOR_EACH_LANE (lane, acceptor)
        if (lane->ready)
            return 0;
    return acceptor->resume_usec;
}

int acceptor_adopt(struct acceptor *acceptor, struct generation *generation)
{
    struct generation *before = acceptor->clients->newest;

    for (size_t i = 0; i < before->n_lanes; i++) {
        struct lane *lane = &before->lanes[i];

        if (endpoints_have(generation->endpoints, lane->listener))
            close_lane(acceptor, lane);
        else
            empty_lane(acceptor, lane);
    }
    clients_adopt(acceptor->clients, generation);
    return acceptor->paused ? 0 : watch_again(acceptor, deadline_now());
}

void acceptor_hold(struct acceptor *acceptor)
{
    pause_until(acceptor, DEADLINE_NEVER);
    acceptor->held = true;
}

void acceptor_resume(struct acceptor *acceptor)
{
    acceptor->held = false;
    acceptor->resume_usec = 0;
}

void acceptor_close(struct acceptor *acceptor)
{
    FOR_EACH_LANE (lane, acceptor)
        close_lane(acceptor, lane);
}

void acceptor_stop(struct acceptor *acceptor)
{
    acceptor->held = false;
    FOR_EACH_LANE (lane, acceptor)
        if (lane->listener->handed_on)
            close_lane(acceptor, lane);
        else
            empty_lane(acceptor, lane);
}

bool acceptor_is_open(const struct acceptor *acceptor)
{
    FOR_EACH_LANE (lane, acceptor)
        if (lane->open)
            return true;
    return false;
}

void acceptor_init(struct acceptor *acceptor, int epoll_fd, struct clients *clients,
                   struct acceptor_shared *shared)
{
    *acceptor = (struct acceptor){
        .epoll_fd = epoll_fd,
        .clients = clients,
        .resume_usec = DEADLINE_NEVER,
        .shared = shared,
    };
}
