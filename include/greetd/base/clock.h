/* SPDX-License-Identifier: MIT */
#pragma once

/* Times of CLOCK_MONOTONIC and durations, both in microseconds, with `infinity` among them. */

#include <stdint.h>
#include <time.h>

/* `infinity`: never as a point in time, for ever as a duration. */
#define USEC_INFINITY UINT64_MAX

#define USEC_PER_SEC UINT64_C(1000000)

static inline uint64_t clock_now_of(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * USEC_PER_SEC + (uint64_t)now.tv_nsec / 1000;
}

/* The time now (clock_gettime(2)). */
static inline uint64_t clock_now(void)
{
    return clock_now_of(CLOCK_MONOTONIC);
}

/* A + B, where either may be USEC_INFINITY, and so is a sum that does not fit. */
static inline uint64_t usec_add(uint64_t a, uint64_t b)
{
    return b > USEC_INFINITY - a ? USEC_INFINITY : a + b;
}

static inline uint64_t usec_min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}
