/* SPDX-License-Identifier: MIT */
#pragma once

/* The addresses of listening sockets: the text of ListenStream=, the sockaddr of the kernel, and
 * the text in the log. Pure but for address_find_interface(). */

#include <sys/socket.h> /* before vm_sockets.h, which uses it: Linux 6.8 does not include it */

#include <linux/vm_sockets.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <sys/un.h>

#include "greetd/net/peer.h"

struct address {
    union {
        struct sockaddr sa;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
        struct sockaddr_vm vm;
        struct sockaddr_storage storage;
    };
    socklen_t length; /* for bind(2) */
    bool dual_stack;  /* a bare port: [::] that takes IPv4 too, or 0.0.0.0 without IPv6 */
    char interface[IF_NAMESIZE]; /* see address_find_interface(); "": none */
};

/* Parses TEXT by the grammar of ListenStream= in systemd.socket(5): `PORT`, `IPv4:PORT`,
 * `[IPv6]:PORT`, `/path`, `@abstract`, `vsock:CID:PORT` (an empty CID is any). A link-local IPv6
 * address may have an interface, by name or number: `[IPv6]:PORT%interface` as in
 * systemd.socket(5), or `[IPv6%interface]:PORT` as in RFC 4007 section 11. The name is not looked
 * up here, since the interface may appear later. Port 0 lets the kernel choose, as in ip(7). The
 * name of a Unix socket is rejected if a line of the configuration can't hold it: with control
 * characters, or with a space or backslash at its end. Returns 0, or -EINVAL with a static text in
 * *RET_WHY, for a sentence like "ListenStream=TEXT: WHY". RET is untouched on failure. */
int address_parse(struct address *ret, const char *text, const char **ret_why);

/* Replaces the name of an interface by its number, if ADDRESS has one. Returns 0 or a negative
 * errno of if_nametoindex(3): -ENODEV if there is no such interface. */
int address_find_interface(struct address *address);

/* Writes ADDRESS to BUFFER (ADDRESS_TEXT_MAX bytes) as address_parse() reads it, and returns
 * BUFFER. A bare port is written as `[::]:PORT`, IPv4 mapped to IPv6 as IPv4. Bytes of a Unix
 * address that are not printable ASCII become \xHH, which address_parse() does not read. A Unix
 * socket without a name is `unix`, an address of another family `unknown`. */
const char *address_format(const struct address *address, char *buffer);

/* Whether clients connect to the address with TCP. */
static inline bool address_is_tcp(const struct address *address)
{
    return address->sa.sa_family == AF_INET || address->sa.sa_family == AF_INET6;
}

/* Whether both are the same address, so that the second could not be bound. A bare port is the same
 * as `[::]:PORT`, IPv4 mapped to IPv6 the same as IPv4. With port 0 the kernel chooses another port
 * each time, so such an address equals none, not even itself. The name of an interface does not
 * equal its number. */
bool address_equal(const struct address *a, const struct address *b);

/* Whether ADDRESS is that of all interfaces: 0.0.0.0, [::] or a vsock address with any CID. */
bool address_is_wildcard(const struct address *address);

/* Whether the kernel chooses the port. */
bool address_has_dynamic_port(const struct address *address);

/* The same as address_equal(), but ignores the ports. */
bool address_equal_host(const struct address *a, const struct address *b);
