/* SPDX-License-Identifier: MIT */
#pragma once

/* A kernel in small: what a worker's sockets are to it, as tcp(7), unix(7) and epoll(7) have them.
 * The fuzzer decides what clients do, and which calls fail. Each descriptor has a number of its
 * own, which is not used again, so that a call with one that is closed is seen. Include it in one
 * source of a program only; kernel_calls.h has the system calls. */

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "../fuzz.h"
#include "greetd/base/cleanup.h"
#include "greetd/base/clock.h"

#define KERNEL_EVENTFDS  4
#define KERNEL_LISTENERS 8
#define KERNEL_CLIENTS   64
#define KERNEL_CHUNKS    32
#define KERNEL_BYTES     1024

/* The numbers of descriptors. Those below are the process's own. */
#define KERNEL_EPOLL    800
#define KERNEL_EVENTFD  801
#define KERNEL_LISTENER 810
#define KERNEL_CLIENT   820
#define KERNEL_END      (KERNEL_CLIENT + KERNEL_CLIENTS)

enum kernel_kind { KERNEL_TCP, KERNEL_UNIX, KERNEL_RECORDS };

enum kernel_state { KERNEL_NONE, KERNEL_QUEUED, KERNEL_ACCEPTED, KERNEL_CLOSED };

/* The calls that may fail without an end of the connection, or in the middle of which the client
 * may close or break it. */
enum kernel_call { KERNEL_SEND, KERNEL_RECV, KERNEL_SHUTDOWN, KERNEL_IOCTL, KERNEL_CALLS };

/* The next N calls fail with ERROR. */
struct kernel_fault {
    int error;
    unsigned n;
};

/* Data that the client has sent at once: a record of SOCK_SEQPACKET. */
struct kernel_chunk {
    uint32_t size, read;
    const char *bytes; /* NULL: zeros */
};

struct kernel_client {
    enum kernel_state state;
    enum kernel_kind kind;
    unsigned listener, peer;
    /* From the server. */
    size_t given, acked; /* bytes; a local client acknowledges by reading */
    size_t room;         /* for bytes that are not acknowledged */
    bool shut, fin_acked, handshake;
    /* From the client. */
    struct kernel_chunk chunks[KERNEL_CHUNKS];
    unsigned n_chunks, first_chunk;
    char bytes[KERNEL_BYTES]; /* those of the chunks, one behind the other */
    size_t n_bytes, n_read;
    bool fin; /* it has sent its end of stream */
    bool fin_read;
    bool broken; /* a reset, or the client of a local socket is gone */
    int error;   /* that of SO_ERROR, which is reported once */
    struct kernel_fault faults[KERNEL_CALLS];
};

/* What epoll has of a descriptor. */
struct kernel_interest {
    bool is_in, edge;
    struct epoll_event event;
};

static struct kernel {
    bool active; /* else all calls are for the real kernel */
    uint64_t now_usec;
    uint64_t n_changes; /* calls that have changed something */
    struct kernel_client clients[KERNEL_CLIENTS];
    unsigned n_clients;
    unsigned queues[KERNEL_LISTENERS][KERNEL_CLIENTS];
    unsigned n_queued[KERNEL_LISTENERS];
    struct kernel_fault accept_faults[KERNEL_LISTENERS], epoll_fault, poll_fault;
    uint64_t eventfds[KERNEL_EVENTFDS];
    bool open[KERNEL_END - KERNEL_EPOLL]; /* but for clients */
    struct kernel_interest interests[KERNEL_END - KERNEL_EPOLL];
} kernel;

/* What the target checks as it happens. */
static void on_accept(struct kernel_client *client);
static void on_send(struct kernel_client *client, const char *bytes, size_t size);
static void on_sent(struct kernel_client *client, const char *bytes, size_t size);
static void on_shutdown(struct kernel_client *client);
static void on_close(struct kernel_client *client);
static int on_wait(struct epoll_event *events, int max, int timeout_msec);

static inline bool kernel_has(int fd)
{
    return kernel.active && fd >= KERNEL_EPOLL && fd < KERNEL_END;
}

static inline struct kernel_client *kernel_client(int fd)
{
    PROPERTY(fd >= KERNEL_CLIENT && fd < KERNEL_END);
    struct kernel_client *client = &kernel.clients[fd - KERNEL_CLIENT];

    PROPERTY(client->state == KERNEL_ACCEPTED);
    return client;
}

static inline int kernel_fd(const struct kernel_client *client)
{
    return KERNEL_CLIENT + (int)(client - kernel.clients);
}

static inline struct kernel_interest *kernel_interest(int fd)
{
    PROPERTY(fd > KERNEL_EPOLL && fd < KERNEL_END);
    return &kernel.interests[fd - KERNEL_EPOLL];
}

static inline bool kernel_fails(struct kernel_fault *fault)
{
    if (fault->n == 0)
        return false;
    fault->n--;
    kernel.n_changes++;
    errno = fault->error;
    return true;
}

static inline int kernel_error(int error)
{
    errno = error;
    return -1;
}

/* Fails with the error of the connection, which is reported once. */
static inline int kernel_take_error(struct kernel_client *client)
{
    int error = client->error;

    client->error = 0;
    return kernel_error(error);
}

/* Something that an edge-triggered epoll reports. */
static inline void kernel_edge(const struct kernel_client *client)
{
    kernel_interest(kernel_fd(client))->edge = true;
}

static inline size_t kernel_outstanding(const struct kernel_client *client)
{
    return client->given - client->acked;
}

static inline bool kernel_has_input(const struct kernel_client *client)
{
    return client->first_chunk < client->n_chunks;
}

/* tcp_poll() and unix_poll() of Linux. */
static inline uint32_t kernel_ready(const struct kernel_client *client)
{
    bool hung_up = client->fin || client->broken;
    uint32_t ready = 0;

    if (kernel_has_input(client) || hung_up)
        ready |= POLLIN;
    if (hung_up)
        ready |= POLLRDHUP;
    if (client->broken || (client->shut && client->fin))
        ready |= POLLHUP;
    if (client->error)
        ready |= POLLERR;
    if (kernel_outstanding(client) * 4 <= client->room || client->broken ||
        (client->shut && client->kind == KERNEL_TCP))
        ready |= POLLOUT;
    return ready;
}

static inline uint32_t kernel_ready_fd(int fd)
{
    if (fd >= KERNEL_CLIENT)
        return kernel_ready(kernel_client(fd));
    if (fd >= KERNEL_LISTENER)
        return kernel.n_queued[fd - KERNEL_LISTENER] > 0 ? POLLIN : 0;
    return kernel.eventfds[fd - KERNEL_EVENTFD] > 0 ? POLLIN : 0;
}

/* Returns the events that epoll reports for FD now. */
static inline uint32_t kernel_events(int fd)
{
    struct kernel_interest *interest = kernel_interest(fd);
    uint32_t events = interest->event.events;

    if (!interest->is_in || ((events & EPOLLET) && !interest->edge))
        return 0;
    return kernel_ready_fd(fd) & (events | EPOLLERR | EPOLLHUP);
}

/* Fills in at most MAX events, from FIRST on, and returns how many there are. */
static inline int kernel_report(struct epoll_event *events, int max, unsigned first)
{
    const int n_fds = KERNEL_END - KERNEL_EVENTFD;
    int n = 0;

    for (int i = 0; i < n_fds && n < max; i++) {
        int fd = KERNEL_EVENTFD + (i + (int)(first % (unsigned)n_fds)) % n_fds;
        uint32_t ready = kernel_interest(fd)->is_in ? kernel_events(fd) : 0;

        if (!ready)
            continue;
        kernel_interest(fd)->edge = false;
        events[n] = kernel_interest(fd)->event;
        events[n++].events = ready;
    }
    return n;
}

/* A client connects; it is in the queue until it is accepted. */
static inline struct kernel_client *kernel_connect(unsigned listener, enum kernel_kind kind,
                                                   unsigned peer, size_t room)
{
    struct kernel_client *client = &kernel.clients[kernel.n_clients];

    client->state = KERNEL_QUEUED;
    client->kind = kind;
    client->listener = listener;
    client->peer = peer;
    client->room = room;
    kernel.queues[listener][kernel.n_queued[listener]++] = kernel.n_clients++;
    return client;
}

/* The client sends SIZE bytes, zeros if BYTES is NULL. */
static inline void kernel_input(struct kernel_client *client, const char *bytes, size_t size)
{
    char *copy = client->bytes + client->n_bytes;

    if (!kernel_has_input(client))
        client->first_chunk = client->n_chunks = 0;
    if (client->n_chunks == KERNEL_CHUNKS || client->fin || client->broken ||
        (bytes && size > KERNEL_BYTES - client->n_bytes))
        return;
    client->handshake &= client->n_chunks == 0 && client->n_read == 0;
    if (bytes) {
        memcpy(copy, bytes, size);
        client->n_bytes += size;
    }
    if (size > 0 || client->kind == KERNEL_RECORDS)
        client->chunks[client->n_chunks++] =
            (struct kernel_chunk){.size = (uint32_t)size, .bytes = bytes ? copy : NULL};
    kernel_edge(client);
}

/* The client's kernel acknowledges SIZE bytes, and with the last one the end of stream. */
static inline void kernel_acknowledge(struct kernel_client *client, size_t size)
{
    size_t outstanding = kernel_outstanding(client);

    if (client->broken || client->handshake)
        return;
    client->acked += size < outstanding ? size : outstanding;
    if (client->kind != KERNEL_TCP && kernel_outstanding(client) * 4 <= client->room)
        kernel_edge(client);
    if (client->shut && !client->fin_acked && kernel_outstanding(client) == 0) {
        client->fin_acked = true;
        kernel_edge(client);
    }
}

static inline void kernel_end_input(struct kernel_client *client)
{
    client->handshake = false; /* only data can come with the SYN */
    client->fin = true;
    kernel_edge(client);
}

/* The connection is broken by ERROR. After an end of stream TCP says EPIPE of a reset. */
static inline void kernel_break(struct kernel_client *client, int error)
{
    if (client->broken)
        return;
    client->broken = true;
    client->error =
        error == ECONNRESET && client->fin && client->kind == KERNEL_TCP ? EPIPE : error;
    kernel_edge(client);
}

/* The client closes its socket. A local one that has left bytes unread breaks the connection. */
static inline void kernel_leave(struct kernel_client *client)
{
    if (client->broken)
        return;
    if (client->kind == KERNEL_TCP) {
        kernel_end_input(client);
        return;
    }
    client->fin = true;
    kernel_break(client, kernel_outstanding(client) > 0 ? ECONNRESET : 0);
}

/* Returns whether the call fails. With EPIPE the client leaves before it, and with ECONNRESET a
 * reset arrives; what the call says then is for the caller. */
static inline bool kernel_interrupt(struct kernel_client *client, enum kernel_call call)
{
    struct kernel_fault *fault = &client->faults[call];

    if (!kernel_fails(fault))
        return false;
    if (fault->error == EPIPE || (fault->error == ECONNRESET && client->kind != KERNEL_TCP))
        kernel_leave(client);
    else if (fault->error == ECONNRESET)
        kernel_break(client, ECONNRESET);
    else
        return true;
    return false;
}
