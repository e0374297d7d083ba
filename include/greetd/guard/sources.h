/* SPDX-License-Identifier: MIT */
#pragma once

/* Limits of the connections of one source: an IPv4 address, an IPv6 /64, a user, a virtual machine.
 */

#include <stdbool.h>
#include <stdint.h>

struct source_limits {
    uint64_t max_connections; /* at once; UINT64_MAX: no limit */
    uint64_t interval_usec;   /* of burst; 0: no rate limit */
    uint64_t burst;           /* connections in each interval; UINT64_MAX: no rate limit */
};

/* Whether there is any limit. */
static inline bool source_limits_any(const struct source_limits *limits)
{
    return limits->max_connections != UINT64_MAX ||
           (limits->interval_usec > 0 && limits->burst != UINT64_MAX);
}
