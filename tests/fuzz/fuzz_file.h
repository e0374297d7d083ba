/* SPDX-License-Identifier: MIT */
#pragma once

/* The files of targets whose input names some: they take the place of those of the disk. The file
 * at `/TEXT` has TEXT, with a newline for each `|`. There is none at `/?...`, one at `/!...` may
 * not be read, and one at `/.` is a directory. */

#include <errno.h>

#include "fuzz.h"
#include "greetd/base/file.h"

static int fuzz_file_error(const char *path)
{
    switch (path[1]) {
    case '?':
        return -ENOENT;
    case '!':
        return -EACCES;
    case '.':
        return -EISDIR;
    default:
        return 0;
    }
}

int file_read(char **ret_bytes, size_t *ret_size, const char *path, size_t limit)
{
    int r = fuzz_file_error(path);
    if (r < 0)
        return r;
    char *bytes = strdup(path + 1);
    PROPERTY(bytes);
    *ret_size = strlen(bytes);
    for (char *p = bytes; *p; p++)
        if (*p == '|')
            *p = '\n';
    PROPERTY(*ret_size <= limit);
    *ret_bytes = bytes;
    return 0;
}

/* All files are of 1970. */
int file_stamp_take(struct file_stamp *ret, const char *path)
{
    *ret = (struct file_stamp){0};
    return fuzz_file_error(path);
}
