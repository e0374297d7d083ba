/* SPDX-License-Identifier: MIT */
#pragma once

/* Socket addresses: the text a person writes in ListenStream=, the sockaddr the kernel wants, and
 * the text that goes to the log. Pure but for address_find_interface(). */

#include <linux/vm_sockets.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
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
    socklen_t length; /* as bind(2) wants it */
    bool dual_stack;  /* a bare port: [::] that takes IPv4 too, or 0.0.0.0 without IPv6 */
    char interface[IF_NAMESIZE]; /* still to be looked up, see address_find_interface(); or "" */
};

/* Reads TEXT in the grammar of ListenStream= in systemd.socket(5): `PORT`, `IPv4:PORT`,
 * `[IPv6]:PORT`, `/path`, `@abstract`, `vsock:CID:PORT` (an empty CID is any). A link-local IPv6
 * address may name its interface, or give its number: `[IPv6]:PORT%interface` as in
 * systemd.socket(5), or `[IPv6%interface]:PORT` as in RFC 4007 section 11; the name is not looked
 * up, since the interface may come later. Port 0 lets the kernel choose, as in ip(7). The name of a
 * Unix socket is refused if a line of the configuration could not hold it: with control characters,
 * or with a space or backslash at its end. Returns 0, or -EINVAL with *ret_why (static text) saying
 * what is wrong, for a sentence like "ListenStream=TEXT: WHY". RET is untouched on failure. */
int address_parse(struct address *ret, const char *text, const char **ret_why);

/* Puts the number of the interface that ADDRESS names in place of its name, if it names one.
 * Returns 0 or a negative errno of if_nametoindex(3): -ENODEV if there is none of this name. */
int address_find_interface(struct address *address);

/* Writes ADDRESS to BUFFER (ADDRESS_TEXT_MAX bytes) as address_parse() reads it, and returns
 * BUFFER. A bare port is written as `[::]:PORT`, IPv4 mapped to IPv6 as IPv4. Bytes of a Unix
 * address that are not printable ASCII are written as \xHH, which is for the eye only. A Unix
 * socket without a name is `unix`, an address of another family `unknown`. */
const char *address_format(const struct address *address, char *buffer);

/* Whether both name the same place to listen at, so that the second could not be bound. A bare port
 * is the same as `[::]:PORT`, IPv4 mapped to IPv6 the same as IPv4. Where the kernel chooses the
 * port it chooses another each time, so such an address equals nothing, not even itself. The name
 * of an interface, which is not looked up, does not equal its number. */
bool address_equal(const struct address *a, const struct address *b);

/* Whether the kernel is to choose the port. */
bool address_leaves_port(const struct address *address);

/* The same as address_equal() but for the ports, which are passed over. */
bool address_equal_host(const struct address *a, const struct address *b);
