/* SPDX-License-Identifier: MIT */
#pragma once

/* A greeting: text that is compiled once, when the configuration is loaded, and sent many times.
 * It is immutable but for the states of units (variable.h), so that any number of threads may send
 * it at the same time. Its memory is counted by references, which any thread may take and drop. */

#include <stdbool.h>
#include <stddef.h>

#include "greetd/base/cleanup.h"
#include "greetd/base/refcount.h"

/* A message, or the file of MessageFile=, may have this many bytes. */
#define GREETING_SIZE_MAX ((size_t)16 * 1024 * 1024)

struct variable;
struct variable_argument;

/* A stretch of text and the variable that follows it. */
struct greeting_piece {
    size_t size;
    const struct variable *variable;    /* NULL: none; only in the last piece */
    struct variable_argument *argument; /* owned: of a variable that takes one, else NULL */
};

struct greeting {
    struct refcount references;
    char *bytes; /* owned; the text of all pieces; not terminated, may hold any byte */
    size_t size;
    struct greeting_piece *pieces; /* owned; NULL if there are no variables, so that bytes is all */
    size_t n_pieces;
    unsigned needs;           /* of all variables: see enum variable_needs */
    struct greeting *entries; /* owned: of a fortune file; each client receives one of them */
    size_t n_entries;
    bool entries_own; /* their bytes, which else are a part of bytes */
    bool daily;       /* all clients of a day receive the same entry */
};

/* Whether bytes is what every client receives. */
static inline bool greeting_is_plain(const struct greeting *greeting)
{
    return !greeting->pieces && !greeting->entries;
}

/* Frees N pieces and what they own. */
void greeting_free_pieces(struct greeting_piece *pieces, size_t n);

/* Makes an empty greeting with one reference, the caller's. Returns NULL without memory. */
struct greeting *greeting_new(void);

/* Reads the file at PATH, byte for byte. On success *RET is the caller's reference. Errors: those
 * of open(2) or read(2), -EISDIR or -EINVAL for anything else than a regular file, -EFBIG past
 * GREETING_SIZE_MAX, -ENOMEM. Blocks on the disk: not for a worker. */
int greeting_new_from_file(struct greeting **ret, const char *path);

struct greeting *greeting_ref(struct greeting *greeting);
void greeting_unref(struct greeting *greeting); /* NULL is allowed */
DEFINE_CLEANUP_FUNCTION(struct greeting, greeting_unref)
