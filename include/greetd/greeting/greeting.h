/* SPDX-License-Identifier: MIT */
#pragma once

/* What is said to a client: text compiled once, when the configuration is loaded, and sent many
 * times. What is in it of variables is filled in for each client by rendering. */

#include <stdbool.h>
#include <stddef.h>

#include "greetd/base/cleanup.h"
#include "greetd/base/diagnostics.h"
#include "greetd/greeting/variable.h"

/* A message, or the file named by MessageFile=, may be this long in bytes. */
#define GREETING_SIZE_MAX ((size_t)16 * 1024 * 1024)

/* A stretch of text and the variable that follows it. */
struct greeting_piece {
    size_t size;
    const struct variable *variable; /* NULL: none; only of the last piece */
};

/* Immutable once compiled: any number of threads may send it at the same time. */
struct greeting {
    char *bytes; /* owned; not terminated, may hold any byte: the text of all pieces */
    size_t size;
    struct greeting_piece *pieces; /* owned; NULL if there are no variables, so that bytes is all */
    size_t n_pieces;
};

/* Compiles TEXT as written in Message=: `\n \r \t \\ \xHH` become the bytes they stand for, and
 * `$` is a character like any other. On success *RET is the caller's, to be freed with
 * greeting_free(). Errors: -EINVAL with *ret_why (static text) and *ret_offset, the offset in TEXT
 * of the first escape at fault; -EFBIG past GREETING_SIZE_MAX; -ENOMEM. */
int greeting_new_from_text(struct greeting **ret, const char *text, const char **ret_why,
                           size_t *ret_offset);

/* Adds to DIAGNOSTICS, as `ORIGIN: LABEL=: text`, what keeps TEXT from being compiled: each
 * mistake, or the first 100 of them and how many more there are. Returns 0 if nothing does, -EINVAL
 * if escapes do, -EFBIG past GREETING_SIZE_MAX, or -ENOMEM. */
int greeting_check_text(const char *text, const char *origin, const char *label,
                        struct diagnostics *diagnostics);

/* The same with variables: `$name` and `${name}` become the values of variables, `$$` a `$`; a `$`
 * that an escape stands for is no variable. What is wrong with variables is added to DIAGNOSTICS in
 * the same way; what is wrong with escapes is not, since greeting_check_text() does that, for texts
 * that are not used in the end as well. Errors: -EINVAL for a bad escape or variable; -EFBIG, which
 * is reported, too; -ENOMEM. */
int greeting_new_from_template(struct greeting **ret, const char *text, const char *origin,
                               const char *label, struct diagnostics *diagnostics);

/* Replaces *GREETING, the plain text of the file at PATH, by the same text with its variables, as
 * greeting_new_from_template() does; backslashes are characters like any other. Mistakes are
 * reported as `ORIGIN: LABEL=PATH:LINE: text`, with the line and the byte in it of the file. */
int greeting_expand(struct greeting **greeting, const char *path, const char *origin,
                    const char *label, struct diagnostics *diagnostics);

/* Reads the file at PATH, byte for byte. On success *RET is the caller's. Errors: what open(2) or
 * read(2) said, -EISDIR or -EINVAL for what is not a regular file, -EFBIG past GREETING_SIZE_MAX,
 * -ENOMEM. Blocks on the disk: not for a worker. */
int greeting_new_from_file(struct greeting **ret, const char *path);

void greeting_free(struct greeting *greeting);
DEFINE_CLEANUP_FUNCTION(struct greeting, greeting_free)
