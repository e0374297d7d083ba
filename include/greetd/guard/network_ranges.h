/* SPDX-License-Identifier: MIT */
#pragma once

/* The networks of one family, compiled for lookups: they cut the address space into ranges, which
 * are allowed and denied in turn. Owns its memory; immutable. Pure.
 *
 * The key of a range is its first address. The keys of all ranges are sorted in level 0. Each 16th
 * of them is in level 1, each 16th of these in level 2 and so on, so that a lookup compares 16
 * neighbours on each level: of 100,000 networks on five. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "greetd/guard/network.h"

/* 16 to the power of 8 ranges are more than memory can hold. */
#define NETWORK_RANGES_LEVELS_MAX 8

struct network_ranges {
    union {
        uint32_t *keys;             /* owned: of all levels; of IPv4 in host byte order */
        network_address *wide_keys; /* the same of IPv6 */
    };
    size_t n_levels, begin[NETWORK_RANGES_LEVELS_MAX]; /* of each level in the keys */
    size_t n;           /* ranges; the first one begins at address 0 */
    bool wide;          /* IPv6 */
    bool first_allowed; /* the first range is */
};

/* Compiles the N networks of FAMILY, which are in the order of network_compare(). The longest
 * network that has an address decides, and the last one of several that are equal. An address in
 * none is allowed if BY_DEFAULT. Returns 0 with *RET, which is the caller's to give to
 * network_ranges_deinit(), or -ENOMEM. */
int network_ranges_init(struct network_ranges *ret, const struct network *networks, size_t n,
                        sa_family_t family, bool by_default);

void network_ranges_deinit(struct network_ranges *ranges);

bool network_ranges_allow(const struct network_ranges *ranges, network_address address);
