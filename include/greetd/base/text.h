/* SPDX-License-Identifier: MIT */
#pragma once

/* Text for messages to people: excerpts of their input, suggestions for a misspelled name, and
 * numbers. Pure. */

#include <stddef.h>
#include <stdint.h>

/* Returns the size of the byte order mark with which the SIZE bytes at TEXT begin, as some editors
 * write it into a file of UTF-8; 0 if there is none. */
size_t text_byte_order_mark(const char *text, size_t size);

/* Room for what text_excerpt() writes, with its '\0'. */
#define TEXT_EXCERPT_MAX 96

/* Returns the length in bytes of the UTF-8 character at TEXT (RFC 3629), or 0 if there is none. */
size_t text_utf8_length(const char *text);

/* The same, but 0 for a control character too, also for one of U+0080 to U+009F. */
size_t text_printable_length(const char *text);

/* Writes TEXT to BUFFER (TEXT_EXCERPT_MAX bytes) as valid UTF-8: control characters, also those of
 * U+0080 to U+009F, and invalid bytes become \xHH, and `...` replaces the end of a long text.
 * systemd rejects a STATUS= that is not UTF-8. Returns BUFFER. */
const char *text_excerpt(const char *text, char *buffer);

/* Room for any number in decimal, with a '\0'. */
#define TEXT_DECIMAL_MAX sizeof("18446744073709551615")

/* Writes NUMBER in decimal to BUFFER, without a '\0', and returns the end: several times as fast as
 * snprintf(3), for greetings. */
char *text_write_decimal(char *buffer, uint64_t number);

/* Returns the first of the N CANDIDATES with the smallest edit distance from NAME (two neighbours
 * that are swapped are one edit; upper and lower case are equal), or NULL if none is near: at most
 * a third of its letters may be wrong. */
const char *text_nearest(const char *name, const char *const *candidates, size_t n);
