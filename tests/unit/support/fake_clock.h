/* SPDX-License-Identifier: MIT */
#pragma once

/* A clock_gettime(2) that a test can step, in place of that of the C library. Include it in one
 * source of a program only. */

#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "support/fake.h"

/* Seconds that are added to a clock. */
static struct {
    int64_t realtime; /* CLOCK_REALTIME, and the coarse one */
    int64_t boottime; /* CLOCK_BOOTTIME */
} fake_clock;

FAKE int clock_gettime(clockid_t clock, struct timespec *time)
{
    int r = (int)syscall(SYS_clock_gettime, clock, time);

    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)
        time->tv_sec += fake_clock.realtime;
    if (clock == CLOCK_BOOTTIME)
        time->tv_sec += fake_clock.boottime;
    return r;
}
