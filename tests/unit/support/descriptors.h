/* SPDX-License-Identifier: MIT */
#pragma once

/* The number of open descriptors, for tests that must leave none behind. */

#include <criterion/criterion.h>
#include <dirent.h>
#include <stddef.h>

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
