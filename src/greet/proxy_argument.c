/* SPDX-License-Identifier: MIT */
#include "greet/proxy_argument.h"

#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "greetd/base/parse.h"
#include "greetd/net/address.h"

/* Of a source without one: the first of the dynamic ports in RFC 6335, section 6. */
#define PROXY_PORT "49152"

/* Parses `IPv4`, `IPv4:PORT`, `IPv6` or `[IPv6]:PORT`. Returns whether TEXT is one. */
static bool parse_source(struct peer *ret, const char *text)
{
    const char *colon = strchr(text, ':');
    bool has_port = text[0] == '[' || (colon && !strchr(colon + 1, ':'));
    char buffer[INET6_ADDRSTRLEN + sizeof("[]:" PROXY_PORT)];
    struct address address;
    const char *why;

    if (!has_port) {
        int length =
            snprintf(buffer, sizeof(buffer), colon ? "[%s]:%s" : "%s:%s", text, PROXY_PORT);
        if (length >= (int)sizeof(buffer))
            return false;
        text = buffer;
    }
    if (address_parse(&address, text, &why) < 0)
        return false;
    *ret = peer_from_sockaddr(&address.sa, address.length);
    return peer_is_internet(ret) && ret->scope == 0 && address.interface[0] == '\0';
}

/* Parses an address as parse_source() does, or a network `ADDRESS/BITS`. */
static bool parse_sources(struct exchange_proxy *proxy, const char *text)
{
    const char *slash = strchrnul(text, '/');
    char buffer[ADDRESS_TEXT_MAX];
    uint64_t bits;

    if (slash - text >= (ptrdiff_t)sizeof(buffer))
        return false;
    *(char *)mempcpy(buffer, text, (size_t)(slash - text)) = '\0';
    if (!parse_source(&proxy->source, buffer))
        return false;
    if (*slash == '\0')
        return true;

    unsigned size = proxy->source.family == AF_INET ? 32 : 128;
    if (parse_unsigned(&bits, slash + 1, 0, size) < 0)
        return false;
    proxy->n_variable = size - (unsigned)bits;
    return true;
}

int proxy_argument_parse(struct exchange_proxy *ret, const char *text)
{
    struct exchange_proxy proxy = {.version = PROXY_V2};

    if (strncmp(text, "v1:", 3) == 0) {
        proxy.version = PROXY_V1;
        text += 3;
    }
    if (strcmp(text, "unix") == 0)
        proxy.source =
            peer_from_sockaddr(&(struct sockaddr){.sa_family = AF_UNIX}, sizeof(struct sockaddr));
    else if (strcmp(text, "local") != 0 && !parse_sources(&proxy, text))
        return -EINVAL;
    *ret = proxy;
    return 0;
}
