/* SPDX-License-Identifier: MIT */
#include "greetd/guard/network_ranges.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "greetd/base/cleanup.h"

/* Keys in a block: fewer make more levels, and more take longer to compare. Of IPv4 addresses they
 * are a cache line. */
#define BLOCK 16

#define CACHE_LINE 64

#define ADDRESS_LAST (~(network_address)0)

/* The networks around the current address, one within the other, and the whole address space. */
#define DEPTH_MAX (1 + 129)

/* The ranges while they are made, in ascending order. */
struct sweep {
    network_address *firsts; /* owned: the first address of each */
    size_t n;
    bool first_allowed;
    struct {
        network_address first, last;
        bool allowed;
    } around[DEPTH_MAX];
    size_t depth;
};

static bool is_allowed(bool first_allowed, size_t range)
{
    return first_allowed == (range % 2 == 0);
}

/* Begins a range at FIRST, in place of one that begins there already. */
static void begin_range(struct sweep *sweep, network_address first, bool allowed)
{
    if (sweep->n > 0 && sweep->firsts[sweep->n - 1] == first)
        sweep->n--;
    if (sweep->n == 0)
        sweep->first_allowed = allowed;
    else if (is_allowed(sweep->first_allowed, sweep->n - 1) == allowed)
        return;
    sweep->firsts[sweep->n++] = first;
}

static void enter(struct sweep *sweep, network_address first, network_address last, bool allowed)
{
    size_t depth = sweep->depth;

    /* An equal network takes the place of the one before. */
    if (depth > 1 && sweep->around[depth - 1].first == first &&
        sweep->around[depth - 1].last == last)
        depth--;
    assert(depth < DEPTH_MAX);
    sweep->around[depth].first = first;
    sweep->around[depth].last = last;
    sweep->around[depth].allowed = allowed;
    sweep->depth = depth + 1;
    begin_range(sweep, first, allowed);
}

/* Leaves the networks that end before ADDRESS. */
static void leave_before(struct sweep *sweep, network_address address)
{
    while (sweep->depth > 1 && sweep->around[sweep->depth - 1].last < address) {
        network_address last = sweep->around[--sweep->depth].last;
        begin_range(sweep, last + 1, sweep->around[sweep->depth - 1].allowed);
    }
}

static int sweep_networks(struct sweep *sweep, const struct network *networks, size_t n,
                          bool by_default)
{
    /* Each network begins two ranges at most: at its first address and behind its last. */
    sweep->firsts = reallocarray(NULL, n + 1, 2 * sizeof(*sweep->firsts));
    if (!sweep->firsts)
        return -ENOMEM;
    enter(sweep, 0, ADDRESS_LAST, by_default);
    for (size_t i = 0; i < n; i++) {
        leave_before(sweep, networks[i].first);
        enter(sweep, networks[i].first, network_last(&networks[i]), !networks[i].denied);
    }
    leave_before(sweep, ADDRESS_LAST);
    return 0;
}

static size_t n_blocks(size_t n)
{
    return (n + BLOCK - 1) / BLOCK;
}

static uint32_t narrow(network_address address)
{
    return (uint32_t)(address >> 96);
}

static void set_key(struct network_ranges *ranges, size_t at, network_address key)
{
    if (ranges->wide)
        ranges->wide_keys[at] = key;
    else
        ranges->keys[at] = narrow(key);
}

/* Lays the levels out, each in whole blocks, up to one of a single block. Returns the number of
 * keys. */
static size_t lay_out(struct network_ranges *ranges)
{
    size_t end = 0, n = ranges->n;

    do {
        assert(ranges->n_levels < NETWORK_RANGES_LEVELS_MAX);
        ranges->begin[ranges->n_levels++] = end;
        n = n_blocks(n);
        end += n * BLOCK;
    } while (n > 1);
    return end;
}

static int build(struct network_ranges *ranges, const network_address *firsts)
{
    size_t n = lay_out(ranges), step = 1;
    size_t size = n * (ranges->wide ? sizeof(struct in6_addr) : sizeof(struct in_addr));

    ranges->keys = aligned_alloc(CACHE_LINE, size);
    if (!ranges->keys)
        return -ENOMEM;
    /* A block is filled up with the last address, which is never looked up. */
    memset(ranges->keys, 0xff, size);
    for (size_t level = 0; level < ranges->n_levels; level++, step *= BLOCK)
        for (size_t i = 0; i * step < ranges->n; i++)
            set_key(ranges, ranges->begin[level] + i, firsts[i * step]);
    return 0;
}

int network_ranges_init(struct network_ranges *ret, const struct network *networks, size_t n,
                        sa_family_t family, bool by_default)
{
    struct sweep sweep = {.depth = 0};

    int r = sweep_networks(&sweep, networks, n, by_default);
    if (r >= 0) {
        struct network_ranges ranges = {
            .n = sweep.n, .wide = family == AF_INET6, .first_allowed = sweep.first_allowed};
        r = build(&ranges, sweep.firsts);
        if (r >= 0)
            *ret = ranges;
    }
    free(sweep.firsts);
    return r;
}

void network_ranges_deinit(struct network_ranges *ranges)
{
    free(ranges->keys);
    *ranges = (struct network_ranges){0};
}

/* Returns the last range that begins at or before ADDRESS. WIDE is that of RANGES: as a constant it
 * gives each family a loop of its own. */
static inline size_t find_range(const struct network_ranges *ranges, network_address address,
                                bool wide)
{
    const uint32_t key = narrow(address);
    size_t range = 0;

    for (size_t level = ranges->n_levels; level-- > 0;) {
        size_t block = ranges->begin[level] + range * BLOCK;
        unsigned n = 0;
        for (size_t i = block; i < block + BLOCK; i++)
            n += wide ? ranges->wide_keys[i] <= address : ranges->keys[i] <= key;
        range = range * BLOCK + n - 1;
    }
    return range;
}

bool network_ranges_allow(const struct network_ranges *ranges, network_address address)
{
    size_t range = ranges->n - 1; /* that of the last address */

    if (ranges->wide && address != ADDRESS_LAST)
        range = find_range(ranges, address, true);
    else if (!ranges->wide && narrow(address) != UINT32_MAX)
        range = find_range(ranges, address, false);
    return is_allowed(ranges->first_allowed, range);
}
