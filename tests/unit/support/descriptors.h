/* SPDX-License-Identifier: MIT */
#pragma once

/* For tests that must leave no descriptor behind. */

#include <criterion/criterion.h>
#include <dirent.h>
#include <stddef.h>

/* How many this process has open: the same number again means that none was leaked. */
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
