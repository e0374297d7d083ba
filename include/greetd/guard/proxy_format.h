/* SPDX-License-Identifier: MIT */
#pragma once

/* Writes PROXY headers, which proxy_header_parse() reads: for greet --proxy and tests. Pure. */

#include <stddef.h>
#include <sys/un.h>

#include "greetd/net/address.h"
#include "greetd/net/peer.h"

enum proxy_version {
    PROXY_NONE, /* no header at all */
    PROXY_V1,
    PROXY_V2,
};

/* Room for any header: one with the addresses of two Unix sockets. */
#define PROXY_FORMAT_MAX (16 + 2 * sizeof(((struct sockaddr_un *)0)->sun_path))

/* Writes the header of a connection from SOURCE to DESTINATION to BUFFER (PROXY_FORMAT_MAX bytes),
 * and returns its size, which is 0 for PROXY_NONE. If one of them is IPv4 and the other IPv6, IPv4
 * is mapped to IPv6. A DESTINATION of another kind than SOURCE is written as zeros. A SOURCE that
 * is neither IP nor a Unix socket, and in version 1 one that is not IP, stands for the sender
 * itself: LOCAL, or UNKNOWN in version 1. */
size_t proxy_format_header(char *buffer, enum proxy_version version, const struct peer *source,
                           const struct address *destination);
