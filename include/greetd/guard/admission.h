/* SPDX-License-Identifier: MIT */
#pragma once

/* Decides whether a client is admitted: its network first, then the limits of its source. Pure, but
 * for the table of sources, in which it counts the client. For any thread; nothing is owned. */

#include <stdbool.h>
#include <stdint.h>

#include "greetd/guard/networks.h"
#include "greetd/guard/sources.h"
#include "greetd/metrics/result.h"
#include "greetd/net/peer.h"

struct admission {
    enum refusal refusal; /* REFUSAL_NONE: the client is admitted */
    bool counted;         /* in the table of sources: sources_release() is due at its end */
};

/* Decides whether to admit PEER. NETWORKS are Allow= and Deny=, LIMITS those of [Limits]; NULL for
 * none. NOW_USEC is CLOCK_MONOTONIC. */
struct admission admission_check(const struct networks *networks,
                                 const struct source_limits *limits, struct sources *sources,
                                 const struct peer *peer, uint64_t now_usec);
