/* SPDX-License-Identifier: MIT */
#include "sockets.h"

#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#define SLOW_BUFFER    8192
#define SHARING        64         /* connections of one shared source */
#define LIMITED_SOURCE 0x7ffa0000 /* 127.250.0.0 */

void fail(const char *subject)
{
    perror(subject);
    exit(2);
}

/* Where CLIENT connects to; returns the size. */
static socklen_t target(const struct addresses *addresses, const struct identity *identity,
                        struct sockaddr_storage *ret)
{
    enum listener listener = identity->kind->listener;
    in_port_t port = htons((in_port_t)(addresses->first_port + listener));
    struct sockaddr_un un = {.sun_family = AF_UNIX};

    if (listener == LOCAL || listener == ABSTRACT) {
        size_t skip = listener == ABSTRACT;
        snprintf(un.sun_path + skip, sizeof(un.sun_path) - skip, "%s",
                 skip ? addresses->name : addresses->path);
        memcpy(ret, &un, sizeof(un));
        return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + skip +
                           strlen(un.sun_path + skip));
    }
    if (listener == IPV6) {
        *(struct sockaddr_in6 *)ret =
            (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = port};
        ((struct sockaddr_in6 *)ret)->sin6_addr = in6addr_loopback;
        return sizeof(struct sockaddr_in6);
    }
    *(struct sockaddr_in *)ret = (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = port, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return sizeof(struct sockaddr_in);
}

/* The client's own address: one of 127.16.0.0 and up, or in 2001:db8::/48 a network of its own. */
static socklen_t source(struct addresses *addresses, const struct identity *identity,
                        struct sockaddr_storage *ret)
{
    uint32_t n = (uint32_t)identity->number;
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6,
                               .sin6_addr.s6_addr = {0x20, 0x01, 0x0d, 0xb8}};
    in_addr_t address = 0x7f100000 + n % 0xe00000;

    if (identity->kind->listener == IPV6) {
        in6.sin6_addr.s6_addr[6] = (uint8_t)(n >> 8);
        in6.sin6_addr.s6_addr[7] = (uint8_t)n;
        in6.sin6_addr.s6_addr[15] = 1;
        memcpy(ret, &in6, sizeof(in6));
        return sizeof(in6);
    }
    if (identity->kind->deeds & SHARES_SOURCE)
        address = LIMITED_SOURCE + (in_addr_t)(addresses->n_sharing++ / SHARING % 0xffff);
    *(struct sockaddr_in *)ret =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(address)};
    return sizeof(struct sockaddr_in);
}

/* From now on the kernel drops what arrives for the socket, but for a SYN-ACK: the peer finds a
 * client that connects and is never heard of again. */
static void vanish(int fd)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13), /* the flags in the TCP header */
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 2, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

    if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0)
        fail("SO_ATTACH_FILTER");
}

/* The family of the listener that a client connects to. */
static int family_of(const struct identity *identity)
{
    enum listener listener = identity->kind->listener;

    if (listener == LOCAL || listener == ABSTRACT)
        return AF_UNIX;
    return listener == IPV6 ? AF_INET6 : AF_INET;
}

static void set_options(int fd, int family, unsigned deeds)
{
    static const int on = 1, small = SLOW_BUFFER;

    if (deeds & IS_SLOW)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    if (deeds & VANISHES)
        vanish(fd);
    if (deeds & DRIPS)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (family == AF_INET6) /* a route makes its network local, but it is no address of lo */
        setsockopt(fd, IPPROTO_IPV6, IPV6_FREEBIND, &on, sizeof(on));
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
}

int sockets_open(struct addresses *addresses, const struct identity *identity)
{
    int family = family_of(identity);
    struct sockaddr_storage own;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        fail("socket");
    if (family == AF_UNIX)
        return fd;
    set_options(fd, family, identity->kind->deeds);
    socklen_t size = source(addresses, identity, &own);
    if (bind(fd, (struct sockaddr *)&own, size) < 0)
        fail("bind");
    return fd;
}

int sockets_connect(const struct addresses *addresses, const struct identity *identity, int fd)
{
    struct sockaddr_storage address;
    socklen_t size = target(addresses, identity, &address);

    if (connect(fd, (struct sockaddr *)&address, size) < 0 && errno != EINPROGRESS)
        return -errno;
    return 0;
}
