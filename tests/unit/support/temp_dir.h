/* SPDX-License-Identifier: MIT */
#pragma once

/* A directory of a test's own, for files that it reads. */

#include <criterion/criterion.h>
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "greetd/base/cleanup.h"

struct scratch {
    char directory[64];
    char path[192]; /* what scratch_path() returned last */
};

static inline void scratch_init(struct scratch *scratch)
{
    strcpy(scratch->directory, "/tmp/greetd-test-XXXXXX");
    cr_assert_not_null(mkdtemp(scratch->directory));
}

/* The path of NAME in the directory; holds until the next call. */
static inline const char *scratch_path(struct scratch *scratch, const char *name)
{
    int n = snprintf(scratch->path, sizeof(scratch->path), "%s/%s", scratch->directory, name);
    cr_assert_lt(n, (int)sizeof(scratch->path));
    return scratch->path;
}

/* Writes SIZE bytes to the file NAME, in place of what it held, and returns its path. */
static inline const char *scratch_write(struct scratch *scratch, const char *name,
                                        const char *bytes, size_t size)
{
    FILE *file = fopen(scratch_path(scratch, name), "w");

    cr_assert_not_null(file, "%s", scratch->path);
    cr_assert_eq(fwrite(bytes, 1, size, file), size);
    cr_assert_eq(fclose(file), 0);
    return scratch->path;
}

static inline const char *scratch_write_text(struct scratch *scratch, const char *name,
                                             const char *text)
{
    return scratch_write(scratch, name, text, strlen(text));
}

static inline const char *scratch_mkdir(struct scratch *scratch, const char *name)
{
    cr_assert_eq(mkdir(scratch_path(scratch, name), 0700), 0);
    return scratch->path;
}

static inline const char *scratch_symlink(struct scratch *scratch, const char *target,
                                          const char *name)
{
    cr_assert_eq(symlink(target, scratch_path(scratch, name)), 0);
    return scratch->path;
}

static inline void scratch_remove(const char *path)
{
    DIR *directory = opendir(path);
    struct dirent *entry;
    char child[PATH_MAX];

    cr_assert_not_null(directory);
    while ((entry = readdir(directory))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        cr_assert_lt(snprintf(child, sizeof(child), "%s/%s", path, entry->d_name),
                     (int)sizeof(child));
        if (unlink(child) < 0)
            scratch_remove(child);
    }
    closedir(directory);
    cr_expect_eq(rmdir(path), 0, "%s", path);
}

static inline void scratch_deinit(struct scratch *scratch)
{
    scratch_remove(scratch->directory);
}
