/* SPDX-License-Identifier: MIT */
#pragma once

/* The limits per source: a table of the sources that are connected or were a moment ago, with the
 * clients and the token bucket of each. All workers share one table, so that a source can't
 * multiply its limits by their number. Any thread may call any function but sources_new() and
 * sources_free(), without a system call unless two threads meet at one bucket of the table.
 *
 * A source is an IPv4 address, the /64 prefix of an IPv6 address, the user of a Unix socket, or the
 * CID of a vsock. Unix clients whose user is not known have no source. These count as one source:
 *  - an IPv4 address and the IPv6 address in 64:ff9b::/96 that contains it (RFC 6052),
 *  - the link-local addresses of one interface,
 *  - all IPv6 addresses below 6::, among which only ::1 is in use.
 *
 * The table has a fixed number of entries: 131072, or 4 for each of MaxConnections= if that is
 * more. It is a hash table with a secret key, so nobody can aim at one place of it. A source may be
 * in two buckets of 6 entries, and a new one goes to the bucket that has more room.
 *  - An entry is free when its last client has left and its token bucket is full.
 *  - If none of the 12 entries is free, the one without clients that is nearest to full is
 *    forgotten.
 *  - If all 12 have clients, the new client is admitted without limits: nobody is refused because
 *    of other sources.
 *
 * How often that happens, by simulation (tests/unit/guard/test_sources_room.c has shorter runs):
 *  - MaxConnections= clients from as many sources are all limited.
 *  - While an attack fills the rest of the table, one client in ten million is not limited if
 *    MaxConnections= is 32768 or more; with 16384, all of 15 million were.
 *  - Of 100,000 idle sources in 131072 entries, 0.07 % are forgotten early. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "greetd/base/cleanup.h"
#include "greetd/net/peer.h"

/* What each source may do. */
struct source_limits {
    uint64_t max_connections; /* at once, at least 1; UINT64_MAX: any number */
    uint64_t interval_usec;   /* of the rate limit, up to a year; 0: there is none */
    uint64_t burst;           /* connections per interval, up to 4294967295; 0, UINT64_MAX: any */
};

enum source_verdict {
    SOURCE_ADMITTED,  /* and counted until sources_release() */
    SOURCE_UNTRACKED, /* admitted, but not counted: no source, no limits, or no room */
    SOURCE_TOO_MANY,  /* refused: max_connections clients are connected */
    SOURCE_TOO_FAST,  /* refused: there is no token */
};

struct sources;

static inline bool source_limits_rate(const struct source_limits *limits)
{
    return limits->interval_usec > 0 && limits->burst > 0 && limits->burst != UINT64_MAX;
}

/* Whether there is a limit. */
static inline bool source_limits_any(const struct source_limits *limits)
{
    return limits->max_connections != UINT64_MAX || source_limits_rate(limits);
}

/* Makes a table for MAX_CONNECTIONS clients, up to 1048576, with a new key (getrandom(2)). It has
 * 21 bytes for each entry, whose pages are touched only when sources need them. On success *RET is
 * the caller's. Errors: -ENOMEM, and those of getrandom(2). */
int sources_new(struct sources **ret, uint64_t max_connections);

void sources_free(struct sources *sources); /* NULL is allowed */
DEFINE_CLEANUP_FUNCTION(struct sources, sources_free)

/* Counts a client of PEER and takes a token, if LIMITS allow it at NOW (CLOCK_MONOTONIC). A refused
 * client takes no token. LIMITS may be others than before: the clients and the tokens of the source
 * stay, but it waits no longer than the new interval. A source that does not return stays known for
 * the old one. The clocks of threads may differ a little; token_bucket_clamp() has the bounds. */
enum source_verdict sources_admit(struct sources *sources, const struct peer *peer,
                                  const struct source_limits *limits, uint64_t now_usec);

/* A client of PEER has left, for which sources_admit() returned SOURCE_ADMITTED. */
void sources_release(struct sources *sources, const struct peer *peer);

/* Returns how many sources have a client or a token bucket that is not full. Reads the whole table
 * (0.1 ms for 131072 entries, 15 ms for 4 million); exact only while no thread admits or releases
 * clients. */
size_t sources_known(const struct sources *sources, uint64_t now_usec);

/* Returns how many sources the table has room for. */
size_t sources_capacity(const struct sources *sources);

/* Returns how many sources were forgotten before their token bucket was full. */
uint64_t sources_forgotten(const struct sources *sources);

/* Returns how many clients were not counted because there was no room for their source. */
uint64_t sources_untracked(const struct sources *sources);
