/* SPDX-License-Identifier: MIT */
#pragma once

/* Numbers, booleans, sizes and time spans as text, in the syntax of systemd. Pure. White space
 * around a value is an error: the reader of the file has removed it. */

#include <stdbool.h>
#include <stdint.h>

/* Room for any time that format_timespan() writes, with its '\0'. */
#define TIMESPAN_TEXT_MAX 64

/* Each parser returns 0; -EINVAL if the text is not such a value; -ERANGE if the value is beyond
 * its limits. *RET is unchanged on failure. */

/* Parses a decimal number from MIN to MAX, without a sign. */
int parse_unsigned(uint64_t *ret, const char *text, uint64_t min, uint64_t max);

/* Parses `1 yes true on` or `0 no false off` in upper or lower case, see systemd.syntax(7). */
int parse_boolean(bool *ret, const char *text);

/* Parses a size in bytes: a decimal number with K, M, G, T, P or E, each 1024 times the one before,
 * with B, or without a unit; or `infinity`, which is UINT64_MAX. */
int parse_size(uint64_t *ret, const char *text);

/* Parses a time span of systemd.time(7): `500ms`, `1min 30s`, `2.5h`, seconds without a unit, or
 * `infinity`. As in systemd, `.5` and `+1` are numbers too. Several numbers are added up. The
 * result is in microseconds, each digit of a fraction rounded down. */
int parse_timespan(uint64_t *ret_usec, const char *text);

/* Writes a time span of microseconds to BUFFER (TIMESPAN_TEXT_MAX bytes), so that parse_timespan()
 * returns exactly USEC again. The largest unit is the week: months and years are not whole days.
 * Returns BUFFER. */
const char *format_timespan(uint64_t usec, char *buffer);
