/* SPDX-License-Identifier: MIT */
#pragma once

/* Reads whole files into memory that the caller owns. Blocks on the disk: not for a worker. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "greetd/base/diagnostics.h"

/* Reads the file at PATH, following symbolic links. /dev/null reads as an empty file, as it does
 * for drop-ins in systemd.unit(5). On success *RET_BYTES is the caller's to free(): *RET_SIZE bytes
 * with a '\0' behind them. Errors: those of open(2) or read(2), -EISDIR, -EINVAL for any other file
 * that is not regular, -EFBIG for more than LIMIT bytes, -ENOMEM. */
int file_read(char **ret_bytes, size_t *ret_size, const char *path, size_t limit);

/* What tells one content of a file from another without reading it. */
struct file_stamp {
    dev_t device;
    ino_t inode;
    uint64_t size;
    int64_t modified_nsec, changed_nsec; /* since 1970: mtime and ctime of inode(7) */
};

/* Takes the stamp of the file at PATH, following symbolic links. Returns 0 or a negative errno of
 * stat(2), when *RET is all zeroes. */
int file_stamp_take(struct file_stamp *ret, const char *path);

bool file_stamp_equal(const struct file_stamp *a, const struct file_stamp *b);

/* Returns whether ERROR is a shortage of descriptors (-EMFILE, -ENFILE), and so no error of the
 * file or directory at PATH. Adds it to DIAGNOSTICS then. */
bool file_diagnose_shortage(const char *path, int error, struct diagnostics *diagnostics);

/* What is found while the files that settings name are loaded. */
struct file_report {
    struct diagnostics *errors, *remarks; /* borrowed */
    /* Of the errors, files that the system did not open or read, so that the same configuration may
     * load later, and the negative errno of the last one. */
    size_t n_unreadable;
    int read_error;
};

/* Returns whether ERROR of file_read() is in the file itself. With any other, such as ENOENT or
 * EACCES, the same configuration may load later. */
bool file_is_bad(int error);

/* The text for an error of file_read(). Static, or that of strerror(3). */
const char *file_strerror(int error);
