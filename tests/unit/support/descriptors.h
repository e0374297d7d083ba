/* SPDX-License-Identifier: MIT */
#pragma once

/* The number of open descriptors, for tests that must leave none behind; and how to have few left.
 */

#include <criterion/criterion.h>
#include <dirent.h>
#include <stddef.h>
#include <sys/resource.h>

/* Returns how many descriptors this process has open. */
static inline size_t descriptors_count(void)
{
    DIR *directory = opendir("/proc/self/fd");
    size_t n = 0;

    cr_assert_not_null(directory);
    while (readdir(directory))
        n++;
    closedir(directory);
    return n;
}

/* Has the process open no descriptor from the number N on until descriptors_allow(). Returns the
 * limit before. */
static inline struct rlimit descriptors_deny_from(rlim_t n)
{
    struct rlimit limit;

    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &(struct rlimit){n, limit.rlim_max}), 0);
    return limit;
}

/* Has the process open no further descriptor until descriptors_allow(). Returns the limit before.
 */
static inline struct rlimit descriptors_deny(void)
{
    return descriptors_deny_from(0);
}

static inline void descriptors_allow(struct rlimit limit)
{
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}
