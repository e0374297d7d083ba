/* SPDX-License-Identifier: MIT */
#pragma once

/* Clocks. Times and durations are in microseconds, or USEC_INFINITY; a time is of CLOCK_MONOTONIC
 * unless its name says otherwise. */

#include <limits.h>
#include <stdint.h>
#include <time.h>

/* As a time: never. As a duration: for ever. */
#define USEC_INFINITY UINT64_MAX

#define USEC_PER_SEC UINT64_C(1000000)

/* The time of CLOCK now (clock_gettime(2)). */
static inline uint64_t clock_now_of(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * USEC_PER_SEC + (uint64_t)now.tv_nsec / 1000;
}

static inline uint64_t clock_now(void)
{
    return clock_now_of(CLOCK_MONOTONIC);
}

/* A + B, or USEC_INFINITY if either is infinite or the sum does not fit. */
static inline uint64_t usec_add(uint64_t a, uint64_t b)
{
    return b > USEC_INFINITY - a ? USEC_INFINITY : a + b;
}

static inline uint64_t usec_min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t usec_max(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Returns how many milliseconds poll(2) or epoll_wait(2) may wait from NOW until DUE: rounded up,
 * so that they do not return too early; -1, which is for ever, if DUE is USEC_INFINITY. */
static inline int usec_wait_msec(uint64_t due_usec, uint64_t now_usec)
{
    if (due_usec == USEC_INFINITY)
        return -1;
    if (due_usec <= now_usec)
        return 0;
    return (int)usec_min((due_usec - now_usec - 1) / 1000 + 1, INT_MAX);
}
