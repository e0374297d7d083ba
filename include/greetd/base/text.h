/* SPDX-License-Identifier: MIT */
#pragma once

/* Text for messages to people: excerpts of what they wrote, and suggestions of what they may have
 * meant. Pure. */

#include <stddef.h>

/* Room for what text_excerpt() writes, with its '\0'. */
#define TEXT_EXCERPT_MAX 96

/* Returns the length in bytes of the UTF-8 character at TEXT (RFC 3629), or 0 if there is none. */
size_t text_utf8_length(const char *text);

/* Writes to BUFFER (TEXT_EXCERPT_MAX bytes) as much of TEXT as a message can hold, in UTF-8:
 * control characters and invalid bytes become \xHH, and `...` replaces the end of a long text.
 * systemd rejects a STATUS= that is not UTF-8. Returns BUFFER. */
const char *text_excerpt(const char *text, char *buffer);

/* Returns the one of the N CANDIDATES that takes the fewest insertions, deletions and replacements
 * of a letter to make from NAME (Levenshtein's distance), upper and lower case being the same; the
 * first of several. Returns NULL if none is near: at most a third of its letters may be wrong. The
 * returned pointer is one of CANDIDATES. */
const char *text_nearest(const char *name, const char *const *candidates, size_t n);
