/* SPDX-License-Identifier: MIT */
#pragma once

/* Real sockets for tests: connected pairs, listening sockets on a free port of the loopback
 * interface, and waits that fail after a bound. */

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "greetd/greeting/greeting.h"
#include "greetd/net/address.h"

/* The bound of every wait: far longer than any event takes. */
#define NET_BOUND_MSEC 20000

struct net_pair {
    int server; /* non-blocking, as greetd accepts it */
    int client; /* blocking */
    struct peer peer;
};

/* Waits for one of EVENTS of FD, or for an error or a hang-up. */
static inline void net_wait(int fd, short events)
{
    struct pollfd pollfd = {.fd = fd, .events = events};

    cr_assert_eq(poll(&pollfd, 1, NET_BOUND_MSEC), 1, "no event on the socket");
}

/* Waits until CONDITION holds. For what another thread or the kernel changes without an event. */
#define NET_WAIT_UNTIL(condition)                                                                  \
    do {                                                                                           \
        int _left = NET_BOUND_MSEC;                                                                \
        while (!(condition) && _left-- > 0)                                                        \
            poll(NULL, 0, 1);                                                                      \
        cr_assert(_left >= 0, "never true: %s", #condition);                                       \
    } while (0)

/* Returns the address TEXT, in the syntax of ListenStream=. */
static inline struct address net_address(const char *text)
{
    struct address address = {0};
    const char *why = "";

    cr_assert_eq(address_parse(&address, text, &why), 0, "%s: %s", text, why);
    return address;
}

/* Returns a non-blocking listening socket, and its address in *RET_ADDRESS. */
static inline int net_listen(struct sockaddr_in *ret_address)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    cr_assert_geq(fd, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&address, length), 0);
    cr_assert_eq(listen(fd, 512), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    *ret_address = address;
    return fd;
}

/* Returns a listening Unix socket of TYPE (which may include SOCK_NONBLOCK) at an address that the
 * kernel chooses. */
static inline int net_listen_local(int type)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, type, 0);

    cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof(sa_family_t)), 0);
    cr_assert_eq(listen(fd, 1), 0);
    return fd;
}

/* Connects a client. If RECEIVE_BUFFER is not 0, it can receive only so many bytes at a time. */
static inline int net_connect_with(const struct sockaddr_in *address, int receive_buffer)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    cr_assert_geq(fd, 0);
    if (receive_buffer > 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer));
    cr_assert_eq(connect(fd, (const struct sockaddr *)address, sizeof(*address)), 0);
    return fd;
}

static inline int net_connect(const struct sockaddr_in *address)
{
    return net_connect_with(address, 0);
}

static inline struct net_pair net_tcp_pair_with(int receive_buffer)
{
    struct sockaddr_in address;
    socklen_t length = sizeof(address);
    struct net_pair pair;
    int listening = net_listen(&address);

    pair.client = net_connect_with(&address, receive_buffer);
    net_wait(listening, POLLIN);
    pair.server =
        accept4(listening, (struct sockaddr *)&address, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    cr_assert_geq(pair.server, 0);
    pair.peer = peer_from_sockaddr((struct sockaddr *)&address, length);
    close(listening);
    return pair;
}

static inline struct net_pair net_tcp_pair(void)
{
    return net_tcp_pair_with(0);
}

/* Returns a pair of Unix sockets of TYPE. */
static inline struct net_pair net_local_pair(int type)
{
    int fds[2];

    cr_assert_eq(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds), 0);
    cr_assert_eq(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
    return (struct net_pair){.server = fds[0], .client = fds[1], .peer = {.family = AF_UNIX}};
}

/* Returns a pair of Unix sockets of the type KIND, or of TCP sockets if KIND is 0. */
static inline struct net_pair net_pair_of(int kind)
{
    return kind == 0 ? net_tcp_pair() : net_local_pair(kind);
}

/* Closes the client so that the kernel sends a reset. */
static inline void net_reset(int client)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};

    setsockopt(client, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    close(client);
}

/* Returns the number of bytes that the peer of FD has not acknowledged, with the end of stream. */
static inline int net_outstanding(int fd)
{
    int outstanding = -1;

    cr_assert_eq(ioctl(fd, SIOCOUTQ, &outstanding), 0);
    return outstanding;
}

/* Waits until the peer of FD, which does not read, acknowledges no more. */
static inline void net_await_full(int fd)
{
    int outstanding;

    do {
        outstanding = net_outstanding(fd);
        poll(NULL, 0, 50);
    } while (net_outstanding(fd) != outstanding);
}

/* Returns the number of unread bytes of FD. */
static inline int net_unread(int fd)
{
    int unread = -1;

    cr_assert_eq(ioctl(fd, FIONREAD, &unread), 0);
    return unread;
}

/* Reads exactly SIZE bytes. */
static inline void net_read(int fd, char *buffer, size_t size)
{
    for (size_t n = 0; n < size;) {
        net_wait(fd, POLLIN);
        ssize_t r = recv(fd, buffer + n, size - n, 0);
        cr_assert_gt(r, 0, "%zu bytes are missing", size - n);
        n += (size_t)r;
    }
}

/* Reads until a clean end of stream. Returns the number of bytes before it, -EFBIG if there are
 * more than SIZE, or the negative errno of recv(2). */
static inline ssize_t net_read_to_end(int fd, char *buffer, size_t size)
{
    size_t n = 0;

    for (;;) {
        char beyond;
        net_wait(fd, POLLIN);
        ssize_t r = n < size ? recv(fd, buffer + n, size - n, 0) : recv(fd, &beyond, 1, 0);
        if (r < 0)
            return -errno;
        if (r == 0)
            return (ssize_t)n;
        if (n == size)
            return -EFBIG;
        n += (size_t)r;
    }
}

/* Reads to a clean end of stream, before which there must be exactly TEXT. */
static inline void net_expect_text(int fd, const char *text)
{
    char bytes[256];
    const ssize_t size = (ssize_t)strlen(text);

    cr_assert_eq(net_read_to_end(fd, bytes, sizeof(bytes)), size);
    cr_assert_eq(memcmp(bytes, text, (size_t)size), 0, "%.*s", (int)size, bytes);
}

/* Sends SIZE zeroes, which the kernel must take at once. */
static inline void net_send_zeroes(int fd, size_t size)
{
    char *bytes = calloc(1, size);

    cr_assert(bytes);
    cr_assert_eq(send(fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT), (ssize_t)size);
    free(bytes);
}

/* Returns a greeting of SIZE bytes that never repeat; the caller frees the bytes. */
static inline struct greeting net_long_greeting(size_t size)
{
    struct greeting greeting = {.bytes = malloc(size), .size = size};

    cr_assert(greeting.bytes);
    for (size_t i = 0; i < size; i++)
        greeting.bytes[i] = (char)(i * 31 + (i >> 8) * 7 + (i >> 16));
    return greeting;
}
