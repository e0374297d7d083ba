/* SPDX-License-Identifier: MIT */
#pragma once

/* The files that a configuration is written in: a main file and its drop-ins, read into memory. */

#include <stdbool.h>
#include <stddef.h>

#include "greetd/base/diagnostics.h"

/* No file of a configuration may be larger than this. */
#define CONFIG_FILES_SIZE_MAX ((size_t)64 * 1024 * 1024)

struct config_file {
    char *path;  /* owned */
    char *bytes; /* owned; size of them */
    size_t size;
};

/* Owns the array. */
struct config_files {
    struct config_file *files;
    size_t n;
};

#define CONFIG_FILES_NULL ((struct config_files){0})

/* Reads the file at PATH, which need not exist unless REQUIRED, and then PATH.d/<name>.conf in the
 * order of strcmp(3); hidden files are left out. A symbolic link counts as what it leads to; one to
 * /dev/null hides nothing but reads as empty. What can't be read is added to DIAGNOSTICS as `PATH:
 * text` and left out of *RET, which is the caller's to give to config_files_deinit(), even on
 * failure. Errors: -ENOMEM; -EMFILE or -ENFILE, of which DIAGNOSTICS tells too. */
int config_files_read(struct config_files *ret, const char *path, bool required,
                      struct diagnostics *diagnostics);

void config_files_deinit(struct config_files *files);
