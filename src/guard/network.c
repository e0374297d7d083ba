/* SPDX-License-Identifier: MIT */
#include "greetd/guard/network.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "greetd/base/cleanup.h"
#include "greetd/base/parse.h"
#include "greetd/base/text.h"

#define ADDRESS_BITS 128
#define IN_BITS      32

/* The length of ::ffff:0:0/96, to which IPv4 is mapped (RFC 4291 section 2.5.5.2). */
#define MAPPED_BITS 96

/* See IPAddressAllow= in systemd.resource-control(5). */
static const struct {
    const char *name, *networks[NETWORKS_OF_WORD];
} words[] = {
    {"any", {"0.0.0.0/0", "::/0"}},
    {"localhost", {"127.0.0.0/8", "::1/128"}},
    {"link-local", {"169.254.0.0/16", "fe80::/64"}},
    {"multicast", {"224.0.0.0/4", "ff00::/8"}},
};

/* N is the size of the address of a family. */
static network_address from_bytes(const void *bytes, size_t n)
{
    uint64_t halves[2] = {0};

    memcpy(halves, bytes, n);
    return (network_address)be64toh(halves[0]) << 64 | be64toh(halves[1]);
}

static void to_bytes(network_address address, void *bytes)
{
    const uint64_t halves[] = {htobe64((uint64_t)(address >> 64)), htobe64((uint64_t)address)};

    memcpy(bytes, halves, sizeof(halves));
}

/* The bits of an address beyond the first N. */
static network_address low_bits(unsigned n)
{
    return n < ADDRESS_BITS ? ~(network_address)0 >> n : 0;
}

static unsigned family_bits(sa_family_t family)
{
    return family == AF_INET ? IN_BITS : ADDRESS_BITS;
}

network_address network_last(const struct network *network)
{
    return network->first | low_bits(network->prefix);
}

network_address network_address_of_peer(const struct peer *peer)
{
    return from_bytes(&peer->in6, family_bits(peer->family) / 8);
}

int network_compare(const void *a, const void *b)
{
    const struct network *x = a, *y = b;

    if (x->family != y->family)
        return x->family < y->family ? -1 : 1;
    if (x->first != y->first)
        return x->first < y->first ? -1 : 1;
    if (x->prefix != y->prefix)
        return x->prefix - y->prefix;
    return x->denied - y->denied;
}

static int parse_address(struct network *ret, const char *text)
{
    unsigned char bytes[sizeof(struct in6_addr)];
    sa_family_t family = strchr(text, ':') ? AF_INET6 : AF_INET;

    if (inet_pton(family, text, bytes) != 1)
        return -EINVAL;
    *ret = (struct network){.first = from_bytes(bytes, family_bits(family) / 8),
                            .family = family,
                            .prefix = (uint8_t)family_bits(family)};
    return 0;
}

static bool is_mapped(const struct network *network)
{
    return network->family == AF_INET6 && network->prefix >= MAPPED_BITS &&
           network->first >> IN_BITS == 0xffff;
}

/* Removes the bits beyond the prefix, and the prefix of a mapped network. */
static void normalize(struct network *network)
{
    network_address first = network->first & ~low_bits(network->prefix);

    network->had_low_bits = first != network->first;
    network->first = first;
    if (is_mapped(network)) {
        network->first <<= MAPPED_BITS;
        network->prefix -= MAPPED_BITS;
        network->family = AF_INET;
    }
}

static int parse_network(struct network *ret, const char *text)
{
    char address[NETWORK_TEXT_MAX];
    struct network network;
    const char *slash = strchrnul(text, '/');
    uint64_t prefix;

    *(char *)mempcpy(address, text, (size_t)(slash - text)) = '\0';
    if (parse_address(&network, address) < 0)
        return -EINVAL;
    if (*slash == '/') {
        /* systemd reads 010 as the octal number 8, others as 10. */
        bool is_octal = slash[1] == '0' && slash[2] != '\0';

        if (is_octal || parse_unsigned(&prefix, slash + 1, 0, network.prefix) < 0)
            return -ERANGE;
        network.prefix = (uint8_t)prefix;
    }
    normalize(&network);
    *ret = network;
    return 1;
}

int network_parse(struct network ret[NETWORKS_OF_WORD], const char *text, size_t length)
{
    char copy[NETWORK_TEXT_MAX] = "";

    /* A longer text is no network. */
    if (length < sizeof(copy))
        memcpy(copy, text, length);
    for (size_t i = 0; i < ELEMENTSOF(words); i++)
        if (strcmp(copy, words[i].name) == 0) {
            for (size_t j = 0; j < NETWORKS_OF_WORD; j++)
                (void)parse_network(&ret[j], words[i].networks[j]);
            return NETWORKS_OF_WORD;
        }
    return parse_network(ret, copy);
}

const char *network_nearest_word(const char *text, size_t length)
{
    const char *names[ELEMENTSOF(words)];
    char copy[2 * sizeof("link-local")] = "";

    /* A longer text is far from all words. */
    if (length < sizeof(copy))
        memcpy(copy, text, length);
    for (size_t i = 0; i < ELEMENTSOF(words); i++)
        names[i] = words[i].name;
    return text_nearest(copy, names, ELEMENTSOF(names));
}

const char *network_format(const struct network *network, char *buffer)
{
    unsigned char bytes[sizeof(struct in6_addr)];

    to_bytes(network->first, bytes);
    inet_ntop(network->family, bytes, buffer, NETWORK_TEXT_MAX);
    sprintf(buffer + strlen(buffer), "/%u", network->prefix);
    return buffer;
}
