/* SPDX-License-Identifier: MIT */
#include "greetd/guard/proxy_format.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "greetd/guard/proxy_header.h"

/* Version, command, family and transport protocol of version 2. */
#define LOCAL       "\x20\x00"
#define PROXY_INET  "\x21\x11"
#define PROXY_INET6 "\x21\x21"
#define PROXY_UNIX  "\x21\x31"

#define UNIX_SIZE sizeof(((struct sockaddr_un *)0)->sun_path)

/* Writes the address of PEER as it is if IN, or else as IPv6, and returns BUFFER. */
static const char *format_host(const struct peer *peer, bool in, char *buffer)
{
    struct peer host = *peer;
    char *p = !in && host.family == AF_INET ? stpcpy(buffer, "::ffff:") : buffer;

    host.scope = 0; /* only the sender knows the interface by this number */
    peer_format_host(&host, p);
    return buffer;
}

static size_t format_line(char *buffer, const struct peer *source, const struct peer *destination,
                          bool in)
{
    char from[ADDRESS_TEXT_MAX], to[ADDRESS_TEXT_MAX];

    return (size_t)sprintf(buffer, "PROXY %s %s %s %u %u\r\n", in ? "TCP4" : "TCP6",
                           format_host(source, in, from), format_host(destination, in, to),
                           (unsigned)source->port, (unsigned)destination->port);
}

static char *write_16(char *p, size_t number)
{
    *p++ = (char)(number >> 8);
    *p++ = (char)number;
    return p;
}

/* Writes what precedes the addresses of SIZE bytes. Returns the end, as the next functions do. */
static char *write_fixed(char *p, const char *kind, size_t size)
{
    p = mempcpy(p, PROXY_SIGNATURE, sizeof(PROXY_SIGNATURE) - 1);
    p = mempcpy(p, kind, 2);
    return write_16(p, size);
}

static char *write_in6(char *p, const struct peer *peer)
{
    if (peer->family == AF_INET6)
        return mempcpy(p, &peer->in6, sizeof(peer->in6));
    p = mempcpy(p, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);
    return mempcpy(p, &peer->in, sizeof(peer->in));
}

static char *write_ip(char *p, const struct peer *source, const struct peer *destination, bool in)
{
    if (in) {
        p = write_fixed(p, PROXY_INET, 2 * sizeof(source->in) + 4);
        p = mempcpy(p, &source->in, sizeof(source->in));
        p = mempcpy(p, &destination->in, sizeof(destination->in));
    } else {
        p = write_fixed(p, PROXY_INET6, 2 * sizeof(source->in6) + 4);
        p = write_in6(write_in6(p, source), destination);
    }
    return write_16(write_16(p, source->port), destination->port);
}

/* The client has no path: only a server binds its socket. */
static char *write_unix(char *p, const struct address *destination)
{
    p = write_fixed(p, PROXY_UNIX, 2 * UNIX_SIZE);
    memset(p, 0, 2 * UNIX_SIZE);
    if (destination->sa.sa_family == AF_UNIX)
        memcpy(p + UNIX_SIZE, destination->un.sun_path, UNIX_SIZE);
    return p + 2 * UNIX_SIZE;
}

size_t proxy_format_header(char *buffer, enum proxy_version version, const struct peer *source,
                           const struct address *destination)
{
    struct peer to = peer_from_sockaddr(&destination->sa, destination->length);

    if (!peer_is_internet(&to))
        to = (struct peer){.family = source->family};
    bool in = source->family == AF_INET && to.family == AF_INET;

    if (version == PROXY_NONE)
        return 0;
    if (version == PROXY_V1)
        return peer_is_internet(source) ? format_line(buffer, source, &to, in)
                                        : (size_t)sprintf(buffer, "PROXY UNKNOWN\r\n");
    if (peer_is_internet(source))
        return (size_t)(write_ip(buffer, source, &to, in) - buffer);
    if (source->family == AF_UNIX)
        return (size_t)(write_unix(buffer, destination) - buffer);
    return (size_t)(write_fixed(buffer, LOCAL, 0) - buffer);
}
