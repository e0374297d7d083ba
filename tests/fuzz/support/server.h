/* SPDX-License-Identifier: MIT */
#pragma once

/* A server as a client's system calls see it: the input says what each of them returns. Include it
 * in one source of a program only. */

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "../fuzz.h"
#include "greetd/base/cleanup.h"
#include "greetd/base/clock.h"

#define SERVER_CONNECTIONS 64
#define SERVER_BYTES       256

/* Descriptors: those of connections are the last. */
#define SERVER_FD    900
#define SERVER_EPOLL SERVER_FD
#define SERVER_TIMER (SERVER_FD + 1)
#define SERVER_FIRST (SERVER_FD + 3)
#define SERVER_FDS   (3 + SERVER_CONNECTIONS)

struct server_connection {
    char bytes[SERVER_BYTES]; /* that greet has received, without those behind */
    size_t size;
    bool ended;  /* greet has read its end of stream */
    bool reset;  /* a call has said so, or that the connection is broken */
    bool failed; /* recv(2) has nothing more to say */
    bool watched;
    epoll_data_t data;
};

static struct server {
    bool active; /* else all calls are for the real kernel */
    struct fuzz_input input;
    uint64_t now_usec, timer_usec;
    bool has_variables;
    const char *example; /* a right greeting */
    size_t example_size;
    struct server_connection connections[SERVER_CONNECTIONS];
    unsigned n;
    bool open[SERVER_FDS];
    epoll_data_t signal_data;
} server;

/* Takes a byte of the input; 0 behind its end. */
static inline unsigned server_take(void)
{
    return (unsigned)fuzz_take_number(&server.input, 1);
}

static inline struct server_connection *server_connection(int fd)
{
    PROPERTY(fd >= SERVER_FIRST && fd < SERVER_FD + SERVER_FDS && server.open[fd - SERVER_FD]);
    return &server.connections[fd - SERVER_FIRST];
}

static inline int server_error(int error)
{
    errno = error;
    return -1;
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
    if (!server.active || clock != CLOCK_MONOTONIC)
        return (int)syscall(SYS_clock_gettime, clock, time);
    server.now_usec++;
    *time = (struct timespec){.tv_sec = (time_t)(server.now_usec / USEC_PER_SEC),
                              .tv_nsec = (long)(server.now_usec % USEC_PER_SEC * 1000)};
    return 0;
}

static int server_open(int fd)
{
    PROPERTY(!server.open[fd - SERVER_FD]);
    server.open[fd - SERVER_FD] = true;
    return fd;
}

int epoll_create1(int flags)
{
    PROPERTY(flags == EPOLL_CLOEXEC);
    return server_take() == 255 ? server_error(EMFILE) : server_open(SERVER_EPOLL);
}

int timerfd_create(clockid_t clock, int flags)
{
    PROPERTY(clock == CLOCK_MONOTONIC && flags == (TFD_CLOEXEC | TFD_NONBLOCK));
    return server_open(SERVER_TIMER);
}

int signalfd(int fd, const sigset_t *mask, int flags)
{
    PROPERTY(fd == -1 && sigismember(mask, SIGINT) == 1 && flags == (SFD_CLOEXEC | SFD_NONBLOCK));
    return server_open(SERVER_TIMER + 1);
}

int timerfd_settime(int fd, int flags, const struct itimerspec *value, struct itimerspec *old)
{
    PROPERTY(fd == SERVER_TIMER && flags == TFD_TIMER_ABSTIME && !old);
    server.timer_usec =
        (uint64_t)value->it_value.tv_sec * USEC_PER_SEC + (uint64_t)value->it_value.tv_nsec / 1000;
    return 0;
}

int epoll_ctl(int epoll_fd, int operation, int fd, struct epoll_event *event)
{
    PROPERTY(epoll_fd == SERVER_EPOLL && operation == EPOLL_CTL_ADD && (event->events & EPOLLET));
    if (fd == SERVER_TIMER + 1)
        server.signal_data = event->data;
    if (fd < SERVER_FIRST)
        return 0;
    if (server_take() == 255)
        return server_error(ENOMEM);
    server_connection(fd)->data = event->data;
    server_connection(fd)->watched = true;
    return 0;
}

/* Lets time go on by TIMEOUT_MSEC, or until the timer expires. */
static void server_pass_time(int timeout_msec)
{
    uint64_t due =
        timeout_msec < 0 ? USEC_INFINITY : server.now_usec + (uint64_t)timeout_msec * 1000;

    if (server.timer_usec > server.now_usec)
        due = usec_min(due, server.timer_usec);
    PROPERTY(due != USEC_INFINITY);
    server.now_usec = usec_max(due, server.now_usec);
}

/* Reports a connection, the signal, or nothing; events need no reason. */
int epoll_wait(int epoll_fd, struct epoll_event *events, int max, int timeout_msec)
{
    unsigned choice = server_take();
    int n = 0;

    PROPERTY(epoll_fd == SERVER_EPOLL && max > 0);
    if (choice == 254)
        return server_error(EINTR);
    if (choice == 255)
        events[n++] = (struct epoll_event){.events = EPOLLIN, .data = server.signal_data};
    for (unsigned i = 0; i < server.n && n < max && choice > 0; i++)
        if (server.connections[i].watched && (i + choice) % 3 > 0)
            events[n++] = (struct epoll_event){.events = EPOLLIN | EPOLLOUT,
                                               .data = server.connections[i].data};
    if (n == 0)
        server_pass_time(timeout_msec);
    return n;
}

int poll(struct pollfd *fds, nfds_t n, int timeout)
{
    static const short answers[] = {0,       POLLIN,  POLLOUT, POLLIN | POLLOUT,
                                    POLLHUP, POLLERR, POLLOUT};

    if (!server.active)
        return (int)syscall(SYS_poll, fds, n, timeout);
    unsigned choice = server_take() % (ELEMENTSOF(answers) + 1);

    PROPERTY(n == 1 && (fds->fd == -1 || server_connection(fds->fd)));
    if (choice == ELEMENTSOF(answers))
        return server_error(EINTR);
    fds->revents = (short)(fds->fd < 0 ? 0 : answers[choice] & (fds->events | POLLHUP | POLLERR));
    if (fds->revents == 0)
        server_pass_time(timeout);
    return fds->revents != 0;
}

int socket(int domain, int type, int protocol)
{
    unsigned choice = server_take();

    PROPERTY((domain == AF_INET || domain == AF_UNIX) && protocol == 0);
    PROPERTY(type == (SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (choice == 255 || server.n == SERVER_CONNECTIONS)
        return server_error(EMFILE);
    return server_open(SERVER_FIRST + (int)server.n++);
}

int connect(int fd, const struct sockaddr *address, socklen_t length)
{
    static const int errors[] = {EINPROGRESS, 0, EAGAIN, ECONNREFUSED, ENETUNREACH, EADDRNOTAVAIL};
    int error = errors[server_take() % ELEMENTSOF(errors)];

    PROPERTY(server_connection(fd) && address && length > 0);
    server_connection(fd)->reset = error != 0 && error != EINPROGRESS;
    return error ? server_error(error) : 0;
}

ssize_t send(int fd, const void *bytes, size_t size, int flags)
{
    static const int errors[] = {0, 0, EAGAIN, EPIPE, ECONNRESET, EINTR, ENOBUFS, ETIMEDOUT};
    struct server_connection *connection = server_connection(fd);
    unsigned choice = server_take();
    int error = errors[choice % ELEMENTSOF(errors)];

    PROPERTY(bytes && size > 0 && (flags & MSG_NOSIGNAL));
    connection->reset |= error == ECONNRESET;
    if (error)
        return server_error(error);
    return choice & 8 ? 1 : (ssize_t)size;
}

/* Gives SIZE bytes, of the example if BYTES is NULL. */
static ssize_t server_give(struct server_connection *connection, char *buffer, size_t size)
{
    for (size_t i = 0; i < size && connection->size < SERVER_BYTES; i++)
        connection->bytes[connection->size++] = buffer[i];
    return (ssize_t)size;
}

static ssize_t server_give_right(struct server_connection *connection, char *buffer, size_t size)
{
    size_t at = connection->size;
    size_t left = at < server.example_size ? server.example_size - at : 0;

    size = size < left ? size : left;
    if (size == 0)
        return server_error(EAGAIN);
    memcpy(buffer, server.example + at, size);
    return server_give(connection, buffer, size);
}

static ssize_t server_end(struct server_connection *connection)
{
    connection->ended = true;
    return 0;
}

static ssize_t server_break(struct server_connection *connection, int error)
{
    connection->reset = true;
    return server_error(error);
}

ssize_t recv(int fd, void *buffer, size_t size, int flags)
{
    struct server_connection *connection = server_connection(fd);
    unsigned choice = server_take(), n = choice >> 3;

    PROPERTY(flags == 0 && size > 64 && !connection->ended);
    switch (choice & 7) {
    case 0:
        return server_error(EAGAIN);
    case 1:
    case 2:
        return server_give_right(connection, buffer, n ? n : size);
    case 3:
        for (unsigned i = 0; i <= n; i++)
            ((char *)buffer)[i] = (char)server_take();
        return server_give(connection, buffer, n + 1);
    case 4:
        return n < 24 ? server_end(connection) : server_error(EINTR);
    case 5:
        return server_break(connection, n & 1 ? ECONNRESET : ETIMEDOUT);
    case 6:
        return server_break(connection, n & 1 ? ENOTCONN : EHOSTUNREACH);
    default:
        memset(buffer, 'x', size);
        return server_give(connection, buffer, size);
    }
}

int getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
    static const int errors[] = {0, 0, ECONNREFUSED, ECONNRESET, ETIMEDOUT, EHOSTUNREACH};
    int error = errors[server_take() % ELEMENTSOF(errors)];

    PROPERTY(server_connection(fd) && level == SOL_SOCKET && name == SO_ERROR);
    PROPERTY(*length == sizeof(error));
    server_connection(fd)->reset |= error != 0;
    memcpy(value, &error, sizeof(error));
    return 0;
}

static int server_name(int fd, struct sockaddr *address, socklen_t *length, unsigned host)
{
    const struct sockaddr_in in = {
        .sin_family = AF_INET, .sin_port = htons(79), .sin_addr.s_addr = htonl(0xc0000200 + host)};

    PROPERTY(server_connection(fd) && *length >= sizeof(in));
    memcpy(address, &in, sizeof(in));
    *length = sizeof(in);
    return 0;
}

int getsockname(int fd, struct sockaddr *address, socklen_t *length)
{
    return server_name(fd, address, length, 7);
}

int getpeername(int fd, struct sockaddr *address, socklen_t *length)
{
    return server_name(fd, address, length, 1);
}

int close(int fd)
{
    if (!server.active || fd < SERVER_FD || fd >= SERVER_FD + SERVER_FDS)
        return (int)syscall(SYS_close, fd);
    PROPERTY(server.open[fd - SERVER_FD]);
    server.open[fd - SERVER_FD] = false;
    if (fd >= SERVER_FIRST)
        server.connections[fd - SERVER_FIRST].watched = false;
    return 0;
}
