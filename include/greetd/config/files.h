/* SPDX-License-Identifier: MIT */
#pragma once

/* The files of a configuration, its main file and drop-ins, read into memory that the caller owns.
 */

#include <stdbool.h>
#include <stddef.h>

#include "greetd/base/diagnostics.h"

/* A file of a configuration may have this many bytes. */
#define CONFIG_FILES_SIZE_MAX ((size_t)64 * 1024 * 1024)

struct config_file {
    char *path;  /* owned */
    char *bytes; /* owned; size of them */
    size_t size;
};

struct config_files {
    struct config_file *files; /* owned; n of them */
    size_t n;
};

#define CONFIG_FILES_NULL ((struct config_files){0})

/* Reads the file at PATH, which need not exist unless REQUIRED, and then PATH.d/<name>.conf in the
 * order of strcmp(3), without hidden files. Symbolic links are followed; a link to /dev/null is an
 * empty file. A file that can't be read is added to DIAGNOSTICS as `PATH: text` and skipped. *RET
 * is the caller's to give to config_files_deinit(), even on failure. Errors: -ENOMEM; -EMFILE or
 * -ENFILE, which are added, too. */
int config_files_read(struct config_files *ret, const char *path, bool required,
                      struct diagnostics *diagnostics);

void config_files_deinit(struct config_files *files);
