/* SPDX-License-Identifier: MIT */
#pragma once

/* The time of day in greetings. One worker owns a clock and its memory: the time is read at most
 * once in a round of the worker's loop, and a format is rendered at most once a second. Local times
 * are those of the zone that tzset(3) has read; a caller does so before it starts threads. */

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "greetd/base/buffer.h"

/* The longest format, without its '\0'. */
#define WALL_CLOCK_FORMAT_MAX ((size_t)128)

/* The formats whose text is kept. A further one takes the place of the oldest. */
#define WALL_CLOCK_TEXTS 16

/* The local time of one second in one format. */
struct wall_clock_text {
    /* Behind a space: strftime(3) returns 0 for an empty text, but also for one without room. */
    char format[1 + WALL_CLOCK_FORMAT_MAX + 1];
    time_t second;
    struct buffer text; /* behind that space; empty if not rendered */
};

/* Zeroes are a clock that was not read yet. */
struct wall_clock {
    uint64_t now_usec; /* CLOCK_REALTIME; 0 until it is read in this round */
    time_t second;     /* of local */
    struct tm local;   /* a day of the month of 0: not known yet */
    struct wall_clock_text texts[WALL_CLOCK_TEXTS];
    size_t n_texts, oldest;
};

/* Frees the texts. */
void wall_clock_deinit(struct wall_clock *clock);

/* Begins a round: the time is read again when it is needed. */
void wall_clock_begin_round(struct wall_clock *clock);

/* Returns the microseconds since 1970. All calls in a round return the same. */
uint64_t wall_clock_usec(struct wall_clock *clock);

/* Returns the local time in FORMAT, of which wall_clock_check_format() has no complaint, and its
 * length. The text is valid until the next call, and not terminated. Returns NULL without memory
 * for it. */
const char *wall_clock_format(struct wall_clock *clock, const char *format, size_t *ret_length);

/* Returns the number of the local day, which is one more on each day. */
uint64_t wall_clock_day(struct wall_clock *clock);

/* Checks that strftime(3) of glibc knows all conversions of FORMAT, in the locale C. Returns NULL,
 * or the reason why it is wrong (static text) with *ret_offset, where. Pure. */
const char *wall_clock_check_format(const char *format, size_t *ret_offset);
