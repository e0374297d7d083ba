/* SPDX-License-Identifier: MIT */
#pragma once

/* The values of settings as text: numbers, booleans, sizes and spans of time, each as systemd reads
 * it. White space around a value is not skipped: the reader of the file has done that. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Room for any time that format_timespan() writes, with its '\0'. */
#define TIMESPAN_TEXT_MAX 64

/* The parsers return 0; -EINVAL for what is not such a value; -ERANGE for one that is, but beyond
 * the limits. RET is untouched on failure. */

/* Reads a decimal number from MIN to MAX, without sign. */
int parse_unsigned(uint64_t *ret, const char *text, uint64_t min, uint64_t max);

/* Reads `1 yes true on` or `0 no false off` in upper or lower case, see systemd.syntax(7). */
int parse_boolean(bool *ret, const char *text);

/* Reads a size in bytes: a decimal number and K, M, G, T, P or E, each 1024 times the one before,
 * or B or nothing; or `infinity`. */
int parse_size(uint64_t *ret, const char *text);

/* Reads a span of time as systemd.time(7) tells it: `500ms`, `1min 30s`, `2.5h`, a number without
 * unit in seconds, or `infinity`. Numbers with units are added up. The result is in microseconds;
 * what is finer is cut off. */
int parse_timespan(uint64_t *ret_usec, const char *text);

/* Writes a span of microseconds to BUFFER (TIMESPAN_TEXT_MAX bytes) as parse_timespan() reads
 * it, with nothing lost, and returns BUFFER. The largest unit is the week: months and years are not
 * whole days. */
const char *format_timespan(uint64_t usec, char *buffer);
