/* SPDX-License-Identifier: MIT */
#pragma once

/* Socket addresses: the text a person writes in ListenStream=, the sockaddr the kernel wants, and
 * the text that goes to the log. Pure: nothing here opens a socket or asks a name server. */

#include <linux/vm_sockets.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

struct address {
    union {
        struct sockaddr sa;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
        struct sockaddr_vm vm;
        struct sockaddr_storage storage;
    };
    socklen_t length; /* as bind(2) wants it */
    bool dual_stack;  /* a bare port: [::] that takes IPv4 too, or 0.0.0.0 without IPv6 */
};

/* Room for any address as text, with its '\0': "[" IPv6 "%" interface "]:" port, or a Unix path of
 * 108 bytes of which each may be written as \xHH. */
#define ADDRESS_TEXT_MAX (sizeof(((struct sockaddr_un *)0)->sun_path) * 4 + 2)

/* Reads TEXT in the grammar of ListenStream= in systemd.socket(5): `PORT`, `IPv4:PORT`,
 * `[IPv6]:PORT`, `/path`, `@abstract`, `vsock:CID:PORT` (an empty CID is any). A link-local IPv6
 * address may name its interface, or give its number: `[IPv6]:PORT%interface` as in
 * systemd.socket(5), or `[IPv6%interface]:PORT` as in RFC 4007 section 11. Port 0 lets the kernel
 * choose, as in ip(7). The name of a Unix socket is refused if a line of the configuration could
 * not hold it: with control characters, or with a space or backslash at its end. Returns 0, or
 * -EINVAL with *ret_why (static text) saying what is wrong, for a sentence like
 * "ListenStream=TEXT: WHY". RET is untouched on failure. */
int address_parse(struct address *ret, const char *text, const char **ret_why);

/* Writes ADDRESS to BUFFER (ADDRESS_TEXT_MAX bytes) as address_parse() reads it, and returns
 * BUFFER. A bare port is written as `[::]:PORT`, IPv4 mapped to IPv6 as IPv4. Bytes of a Unix
 * address that are not printable ASCII are written as \xHH, which is for the eye only. A Unix
 * socket without a name is `unix`, an address of another family `unknown`. */
const char *address_format(const struct address *address, char *buffer);

/* Whether both name the same place to listen at, so that the second could not be bound. A bare port
 * is the same as `[::]:PORT`, IPv4 mapped to IPv6 the same as IPv4. Where the kernel chooses the
 * port it chooses another each time, so such an address equals nothing, not even itself. */
bool address_equal(const struct address *a, const struct address *b);

/* The other end of a connection, small enough to keep for every client (24 bytes). */
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
            uint32_t pid, uid;
        } un;
    };
};

/* Keeps what is needed of the sockaddr that accept4(2) gave. IPv4 mapped to IPv6 becomes IPv4. The
 * pid and uid of an AF_UNIX peer are not in its address: the caller fills them in (unix(7),
 * SO_PEERCRED). */
struct peer peer_from_sockaddr(const struct sockaddr *sa, socklen_t length);

/* Writes the peer's address without its port, as `192.0.2.1`, `2001:db8::1`, `fe80::1%eth0`,
 * `vsock:3` or `unix`, and returns BUFFER (ADDRESS_TEXT_MAX bytes). */
const char *peer_format_host(const struct peer *peer, char *buffer);

/* Writes the peer for a sentence: `192.0.2.1:54321`, `[2001:db8::1]:54321`, `vsock:3:1024`,
 * `unix:pid=7,uid=0`, and returns BUFFER (ADDRESS_TEXT_MAX bytes). */
const char *peer_format(const struct peer *peer, char *buffer);
