/* SPDX-License-Identifier: MIT */
#pragma once

/* The address of the other end of a connection, kept for each client, and its text. Pure but for
 * peer_of_socket() and the names of interfaces. */

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

/* Room for any address as text, with its '\0': "[" IPv6 "%" interface "]:" port, or a Unix path of
 * 108 bytes of which each may be written as \xHH. */
#define ADDRESS_TEXT_MAX (sizeof(((struct sockaddr_un *)0)->sun_path) * 4 + 2)

/* 24 bytes, since each client has one. */
struct peer {
    sa_family_t family; /* AF_UNSPEC when unknown */
    uint16_t port;      /* AF_INET, AF_INET6; host byte order */
    uint32_t scope;     /* AF_INET6: interface of a link-local address, else 0 */
    union {
        struct in_addr in;
        struct in6_addr in6;
        struct {
            uint32_t cid, port;
        } vm;
        struct {
            uint32_t pid; /* 0: not known, as that of another PID namespace */
            uint32_t uid; /* see peer_has_uid() */
        } un;
    };
};

/* Whether the peer has an IP address. */
static inline bool peer_is_internet(const struct peer *peer)
{
    return peer->family == AF_INET || peer->family == AF_INET6;
}

/* Whether the uid of an AF_UNIX peer is known. In a user namespace (PrivateUsers= of
 * systemd.exec(5)) every unmapped user has the kernel's overflow uid (user_namespaces(7)). */
bool peer_has_uid(const struct peer *peer);

/* Returns the peer of a sockaddr of accept4(2). IPv4 mapped to IPv6 becomes IPv4. Of an AF_UNIX
 * peer neither pid nor uid are known. */
struct peer peer_from_sockaddr(const struct sockaddr *sa, socklen_t length);

/* The same for the connected socket FD, with the pid and uid of an AF_UNIX peer (SO_PEERCRED in
 * unix(7)), which its sockaddr does not have. */
struct peer peer_of_socket(int fd, const struct sockaddr *sa, socklen_t length);

/* Writes the peer's address without its port, as `192.0.2.1`, `2001:db8::1`, `fe80::1%eth0`,
 * `vsock:3` or `unix`, and returns BUFFER (ADDRESS_TEXT_MAX bytes). */
const char *peer_format_host(const struct peer *peer, char *buffer);

/* Writes the address with its port: `192.0.2.1:54321`, `[2001:db8::1]:54321`, `vsock:3:1024`,
 * `unix:pid=7,uid=0`, without what is not known `unix:pid=7`, `unix:uid=0` or `unix`, and returns
 * BUFFER (ADDRESS_TEXT_MAX bytes). */
const char *peer_format(const struct peer *peer, char *buffer);
