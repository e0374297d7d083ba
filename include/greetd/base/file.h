/* SPDX-License-Identifier: MIT */
#pragma once

/* Files that are read whole, once: the configuration and the greetings. */

#include <stdbool.h>
#include <stddef.h>

#include "greetd/base/diagnostics.h"

/* Reads the file at PATH, following symbolic links. /dev/null reads as an empty file, as it does
 * for drop-ins in systemd.unit(5); anything else that is not a regular file is refused, and opening
 * a FIFO does not wait for its writer. A file that changes meanwhile is read up to its end as it is
 * then. On success *RET_BYTES is the caller's to free(); *RET_SIZE bytes of it count, and a '\0'
 * follows them. Errors: what open(2) or read(2) said, -EISDIR, -EINVAL for what is neither a
 * regular file nor a directory, -EFBIG for more than LIMIT bytes, -ENOMEM. */
int file_read(char **ret_bytes, size_t *ret_size, const char *path, size_t limit);

/* Adds to DIAGNOSTICS that reading the file or directory at PATH failed with ERROR, if that is for
 * want of descriptors (EMFILE, ENFILE) and so no mistake in the file. Returns whether it is. */
bool file_diagnose_shortage(const char *path, int error, struct diagnostics *diagnostics);

/* What went wrong in words, for ERROR as file_read() returned it. Static text, or strerror(3)'s. */
const char *file_strerror(int error);
