/* SPDX-License-Identifier: MIT */
#pragma once

/* A token bucket as one number: the time at which it is full again, which is the theoretical
 * arrival time of the generic cell rate algorithm (ITU-T I.371). A bucket of 0 is full.
 * Pure: times are passed in.
 *
 * Times are in ticks of 1/4096 us since the boot. 64 bits hold 142 years, so nothing overflows in
 * the first 140 years, with intervals of up to a year and up to 4294967295 tokens. The time of a
 * token is rounded up to a tick: a bucket never gives more than its limit, and an empty one is full
 * after its interval and at most one tick for each token. That is 0.25 us more for 1,000 tokens,
 * and 1.05 s for 4294967295. */

#include <stdbool.h>
#include <stdint.h>

#define TOKEN_BUCKET_TICKS 4096 /* in a microsecond */

/* How fast a bucket is filled. */
struct token_rate {
    uint64_t token; /* ticks until there is one more token */
    uint64_t full;  /* ticks until an empty bucket is full */
};

/* The time of CLOCK_MONOTONIC in ticks. */
static inline uint64_t token_bucket_time(uint64_t usec)
{
    return usec * TOKEN_BUCKET_TICKS;
}

/* Returns the rate of a bucket with room for BURST tokens, at least 1, which is filled once in an
 * interval. With an interval of 0 it is always full. */
static inline struct token_rate token_rate(uint64_t burst, uint64_t interval_usec)
{
    uint64_t token = (interval_usec * TOKEN_BUCKET_TICKS + burst - 1) / burst;

    return (struct token_rate){.token = token, .full = token * burst};
}

/* Takes a token at NOW, in ticks. Returns false, without a change, if the bucket is empty. */
static inline bool token_bucket_take(uint64_t *full_at, const struct token_rate *rate, uint64_t now)
{
    uint64_t base = *full_at > now ? *full_at : now;

    if (base - now > rate->full - rate->token)
        return false;
    *full_at = base + rate->token;
    return true;
}

/* Returns a bucket that was filled at another rate before, so that it has its next token after the
 * time of a whole bucket at the latest. Only a bucket that would take longer is changed: it is
 * empty then. Threads whose clocks differ by less than the time of all tokens but one do not change
 * each other's buckets; those of a single token are full earlier by that difference. */
static inline uint64_t token_bucket_clamp(uint64_t full_at, const struct token_rate *rate,
                                          uint64_t now)
{
    return full_at > now + 2 * rate->full - rate->token ? now + rate->full : full_at;
}
