/* SPDX-License-Identifier: MIT */
#pragma once

/* What is said to a client: text compiled once, when the configuration is loaded, and sent many
 * times. */

#include <stddef.h>

#include "greetd/report.h"
#include "greetd/util.h"

/* A message, or the file named by MessageFile=, may be this long in bytes. */
#define GREETING_SIZE_MAX ((size_t)16 * 1024 * 1024)

/* Immutable once compiled: any number of threads may send it at the same time. */
struct greeting {
    char *bytes; /* owned; not terminated, may hold any byte */
    size_t size;
};

/* Compiles TEXT as written in Message=: `\n \r \t \\ \xHH` become the bytes they stand for. On
 * success *RET is the caller's, to be freed with greeting_free(). Errors: -EINVAL with *ret_why
 * (static text) and *ret_offset, the offset in TEXT of the escape at fault; -EFBIG past
 * GREETING_SIZE_MAX; -ENOMEM. */
int greeting_new_from_text(struct greeting **ret, const char *text, const char **ret_why,
                           size_t *ret_offset);

/* Adds to REPORT, as `ORIGIN: LABEL=: text`, what keeps TEXT from being compiled. Returns 0 if
 * nothing does, -EINVAL if something was added, or -ENOMEM. */
int greeting_check_text(const char *text, const char *origin, const char *label,
                        struct report *report);

/* Reads the file at PATH, byte for byte. On success *RET is the caller's. Errors: what open(2) or
 * read(2) said, -EISDIR or -EINVAL for what is not a regular file, -EFBIG past GREETING_SIZE_MAX,
 * -ENOMEM. Blocks on the disk: not for a worker. */
int greeting_new_from_file(struct greeting **ret, const char *path);

void greeting_free(struct greeting *greeting);
DEFINE_CLEANUP_FUNCTION(struct greeting, greeting_free)
