/* SPDX-License-Identifier: MIT */
#pragma once

/* A temporary directory for the files of one test. The test initializes and removes it. */

#include <criterion/criterion.h>
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "greetd/base/cleanup.h"

struct temp_dir {
    char directory[64];
    char path[192]; /* the last result of temp_dir_path() */
};

static inline void temp_dir_init(struct temp_dir *temp_dir)
{
    strcpy(temp_dir->directory, "/tmp/greetd-test-XXXXXX");
    cr_assert_not_null(mkdtemp(temp_dir->directory));
}

/* The path of NAME in the directory; valid until the next call. */
static inline const char *temp_dir_path(struct temp_dir *temp_dir, const char *name)
{
    int n = snprintf(temp_dir->path, sizeof(temp_dir->path), "%s/%s", temp_dir->directory, name);
    cr_assert_lt(n, (int)sizeof(temp_dir->path));
    return temp_dir->path;
}

/* Writes SIZE bytes to the file NAME, replacing its content, and returns its path. */
static inline const char *temp_dir_write(struct temp_dir *temp_dir, const char *name,
                                         const char *bytes, size_t size)
{
    FILE *file = fopen(temp_dir_path(temp_dir, name), "w");

    cr_assert_not_null(file, "%s", temp_dir->path);
    cr_assert_eq(fwrite(bytes, 1, size, file), size);
    cr_assert_eq(fclose(file), 0);
    return temp_dir->path;
}

static inline const char *temp_dir_write_text(struct temp_dir *temp_dir, const char *name,
                                              const char *text)
{
    return temp_dir_write(temp_dir, name, text, strlen(text));
}

static inline const char *temp_dir_mkdir(struct temp_dir *temp_dir, const char *name)
{
    cr_assert_eq(mkdir(temp_dir_path(temp_dir, name), 0700), 0);
    return temp_dir->path;
}

static inline const char *temp_dir_symlink(struct temp_dir *temp_dir, const char *target,
                                           const char *name)
{
    cr_assert_eq(symlink(target, temp_dir_path(temp_dir, name)), 0);
    return temp_dir->path;
}

static inline void temp_dir_remove(const char *path)
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
            temp_dir_remove(child);
    }
    closedir(directory);
    cr_expect_eq(rmdir(path), 0, "%s", path);
}

static inline void temp_dir_deinit(struct temp_dir *temp_dir)
{
    temp_dir_remove(temp_dir->directory);
}
