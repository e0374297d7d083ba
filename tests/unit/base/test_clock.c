/* SPDX-License-Identifier: MIT */
#include "greetd/base/clock.h"

#include <criterion/criterion.h>

Test(clock, counts_microseconds_of_the_monotonic_clock)
{
    struct timespec before;

    clock_gettime(CLOCK_MONOTONIC, &before);
    uint64_t now_usec = clock_now();
    cr_assert_geq(now_usec, (uint64_t)before.tv_sec * 1000000 + (uint64_t)before.tv_nsec / 1000);
    cr_assert_lt(now_usec, ((uint64_t)before.tv_sec + 60) * 1000000);
}

Test(clock, adds_up_to_infinity_and_not_beyond)
{
    cr_expect_eq(usec_add(5, 6), 11);
    cr_expect_eq(usec_add(USEC_INFINITY, 0), USEC_INFINITY);
    cr_expect_eq(usec_add(0, USEC_INFINITY), USEC_INFINITY);
    cr_expect_eq(usec_add(USEC_INFINITY, 5), USEC_INFINITY);
    cr_expect_eq(usec_add(USEC_INFINITY, USEC_INFINITY), USEC_INFINITY);
    cr_expect_eq(usec_add(USEC_INFINITY - 5, 4), USEC_INFINITY - 1);
    cr_expect_eq(usec_add(USEC_INFINITY - 5, 6), USEC_INFINITY);
}

Test(clock, has_infinity_as_the_later_of_two_times)
{
    cr_expect_eq(usec_min(5, 6), 5);
    cr_expect_eq(usec_min(5, USEC_INFINITY), 5);
    cr_expect_eq(usec_min(USEC_INFINITY, 5), 5);
    cr_expect_eq(usec_min(USEC_INFINITY, USEC_INFINITY), USEC_INFINITY);
}

Test(clock, has_infinity_as_the_latest_of_two_times)
{
    cr_expect_eq(usec_max(5, 6), 6);
    cr_expect_eq(usec_max(5, USEC_INFINITY), USEC_INFINITY);
    cr_expect_eq(usec_max(USEC_INFINITY, 5), USEC_INFINITY);
}

Test(clock, waits_for_whole_milliseconds_and_never_too_short)
{
    cr_expect_eq(usec_wait_msec(USEC_INFINITY, 7), -1);
    cr_expect_eq(usec_wait_msec(7, 8), 0);
    cr_expect_eq(usec_wait_msec(7, 7), 0);
    cr_expect_eq(usec_wait_msec(8, 7), 1);
    cr_expect_eq(usec_wait_msec(1007, 7), 1);
    cr_expect_eq(usec_wait_msec(1008, 7), 2);
    cr_expect_eq(usec_wait_msec(USEC_INFINITY - 1, 0), INT_MAX);
}
