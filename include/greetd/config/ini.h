/* SPDX-License-Identifier: MIT */
#pragma once

/* Reads text in the syntax of systemd.syntax(7), one section header or assignment at a time. The
 * caller owns the text, and knows which sections and keys there are.
 *
 *     struct ini ini = INI_INIT(bytes, size);
 *     struct ini_entry entry;
 *     while ((r = ini_next(&ini, &entry)) > 0)
 *         ...
 *     ini_deinit(&ini);
 *
 * A line ends with LF or CR, or with both in either order. A backslash at its very end becomes a
 * blank, and the next line that is not a comment is joined to it, with its own blanks. An even
 * number of backslashes joins nothing: each pair is an escaped backslash. Quotes, escapes, and
 * comments after a value have no meaning. tests/integration/test_syntax.py compares all this with
 * systemd and lists the differences. */

#include <stddef.h>

#include "greetd/base/buffer.h"

enum ini_kind {
    INI_SECTION,    /* [NAME] */
    INI_ASSIGNMENT, /* NAME=VALUE */
    INI_ERROR,      /* neither of them; the next call continues after it */
};

struct ini_entry {
    enum ini_kind kind;
    size_t line;       /* the first one, from 1 */
    const char *name;  /* of the section or the key, not empty; INI_ERROR: the line itself */
    const char *value; /* INI_ASSIGNMENT: without white space around it; may be empty */
    const char *why;   /* INI_ERROR: the reason, static text */
};

struct ini {
    const char *next, *end; /* the unread rest of the text; borrowed */
    size_t line;            /* the number of lines read */
    struct buffer joined;   /* the lines of one entry, joined, with a '\0' behind them */
    enum { INI_NO_SECTION, INI_BAD_SECTION, INI_IN_SECTION } state;
};

#define INI_INIT(bytes, n_bytes) ((struct ini){.next = (bytes), .end = (bytes) + (n_bytes)})

void ini_deinit(struct ini *ini);

/* Reads the next entry. Returns 1 with *RET, whose strings INI owns until the next call; 0 at the
 * end; -ENOMEM. The assignments after a malformed section header are skipped, because their section
 * is unknown. */
int ini_next(struct ini *ini, struct ini_entry *ret);
