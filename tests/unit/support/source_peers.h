/* SPDX-License-Identifier: MIT */
#pragma once

/* Peers and tables for tests of the limits per source. */

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdint.h>

#include "greetd/base/clock.h"
#include "greetd/guard/sources.h"

#define NO_RATE   .interval_usec = 0, .burst = UINT64_MAX
#define ANY_COUNT .max_connections = UINT64_MAX

/* The peer of the source number I. */
static inline struct peer source_peer(uint32_t i)
{
    return (struct peer){.family = AF_INET, .port = 1024, .in.s_addr = htonl(i)};
}

static inline struct sources *new_sources(uint64_t max_connections)
{
    struct sources *sources = NULL;

    cr_assert_eq(sources_new(&sources, max_connections), 0);
    return sources;
}

/* Connects and closes a client of the source number I, whose verdict is returned. */
static inline enum source_verdict visit(struct sources *sources, uint32_t i,
                                        const struct source_limits *limits, uint64_t now_usec)
{
    struct peer peer = source_peer(i);
    enum source_verdict verdict = sources_admit(sources, &peer, limits, now_usec);

    if (verdict == SOURCE_ADMITTED)
        sources_release(sources, &peer);
    return verdict;
}
