/* SPDX-License-Identifier: MIT */
#pragma once

/* Reads text in the syntax of systemd.syntax(7), one section header or assignment at a time. The
 * text is the caller's, and so is the meaning of a section or a key.
 *
 *     struct ini ini = INI_INIT(bytes, size);
 *     struct ini_entry entry;
 *     while ((r = ini_next(&ini, &entry)) > 0)
 *         ...
 *     ini_deinit(&ini);
 *
 * A line ends with LF or CR, or with both in either order. A backslash at its very end becomes a
 * blank, and the next line that is not a comment is joined to it, with its own blanks. An even
 * number of backslashes joins nothing: each pair is an escaped backslash. Nothing else is
 * interpreted: no quotes, no escapes, no comments after a value. All this is as systemd does it;
 * tests/integration/test_syntax.py compares the two and lists where they differ. */

#include <stdbool.h>
#include <stddef.h>

enum ini_kind {
    INI_SECTION,    /* [NAME] */
    INI_ASSIGNMENT, /* NAME=VALUE */
    INI_ERROR,      /* a line that is neither; reading goes on after it */
};

struct ini_entry {
    enum ini_kind kind;
    size_t line;       /* where it begins, from 1 */
    const char *name;  /* of the section or of the key, not empty; INI_ERROR: the line itself */
    const char *value; /* INI_ASSIGNMENT: without the white space around it; may be empty */
    const char *why;   /* INI_ERROR: what is wrong, static text */
};

struct ini {
    const char *next, *end; /* what is still to be read; borrowed */
    size_t line;            /* the number of lines read */
    char *joined;           /* owned: the lines that make up one entry, joined */
    size_t size;
    enum { INI_NO_SECTION, INI_BAD_SECTION, INI_IN_SECTION } state;
};

#define INI_INIT(bytes, n_bytes) ((struct ini){.next = (bytes), .end = (bytes) + (n_bytes)})

void ini_deinit(struct ini *ini);

/* Finds the next entry. Returns 1 with *RET, whose strings are INI's and hold until the next call;
 * 0 at the end; -ENOMEM. After a section header that can't be read, the assignments below it are
 * passed over, for they belong to nobody knows which section. */
int ini_next(struct ini *ini, struct ini_entry *ret);
