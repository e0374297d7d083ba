/* SPDX-License-Identifier: MIT */
#pragma once

/* One network of IPv4 or IPv6 addresses, and its text. Pure. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "greetd/net/peer.h"

/* An address as a number: IPv6, or IPv4 in the upper 32 bits, so that both compare alike. */
__extension__ typedef unsigned __int128 network_address;

struct network {
    network_address first; /* the bits beyond the prefix are 0 */
    sa_family_t family;    /* AF_INET, AF_INET6 */
    uint8_t prefix;        /* length in bits: 0 to 32 or 128 */
    bool had_low_bits;     /* the text had bits beyond the prefix */
    bool denied;           /* it is of Deny=; network_parse() leaves it false */
};

/* The most networks that a word stands for. */
#define NETWORKS_OF_WORD 2

/* Room for what network_format() writes, with its '\0'. */
#define NETWORK_TEXT_MAX sizeof("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255/128")

/* Parses the LENGTH bytes at TEXT, none of them '\0': `ADDRESS/PREFIX`, an address, which is a
 * network of its own, or a word of IPAddressAllow= in systemd.resource-control(5), which stands for
 * a network of each family. IPv4 mapped to IPv6 with a prefix of 96 or more is IPv4, as it is in
 * struct peer. Returns the number of networks in RET; -ERANGE if PREFIX is not the length of one;
 * -EINVAL for any other text. RET is untouched on failure. */
int network_parse(struct network ret[NETWORKS_OF_WORD], const char *text, size_t length);

/* Returns the word that is nearest to the LENGTH bytes at TEXT, which are none, or NULL. */
const char *network_nearest_word(const char *text, size_t length);

/* Writes `ADDRESS/PREFIX` to BUFFER (NETWORK_TEXT_MAX bytes) and returns BUFFER. */
const char *network_format(const struct network *network, char *buffer);

/* Compares two struct network, for qsort(3): by family and first address; of these the shortest
 * prefix comes first, and of equal networks the allowed one. */
int network_compare(const void *a, const void *b);

/* Returns the last address of the network. */
network_address network_last(const struct network *network);

/* Returns the address of an AF_INET or AF_INET6 peer. */
network_address network_address_of_peer(const struct peer *peer);
