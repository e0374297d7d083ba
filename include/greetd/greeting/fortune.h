/* SPDX-License-Identifier: MIT */
#pragma once

/* Fortune files (fortune(6)): entries that are divided by lines with nothing but a `%`, of which
 * each client receives one. A worker owns the state of its random numbers. */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "greetd/base/diagnostics.h"
#include "greetd/greeting/greeting.h"
#include "greetd/greeting/template_errors.h"
#include "greetd/greeting/wall_clock.h"

/* The most characters that a quote should have (RFC 865). */
#define FORTUNE_SIZE_RECOMMENDED ((size_t)512)

struct fortune_random {
    unsigned short seed[3];
    struct drand48_data data; /* of nrand48_r(3) */
};

/* Seeds with bytes of getrandom(2). */
void fortune_random_init(struct fortune_random *random);

/* Divides GREETING, the text of a whole file, into its entries, which are the same for all clients
 * of a day if DAILY is set. With EXPAND each entry is compiled with its variables. ERRORS are those
 * of the text; a file without an entry is one of them. Entries longer than recommended are added to
 * REMARKS, unless that is NULL. Errors: -EINVAL; -EFBIG; -ENOMEM; GREETING may be incomplete then.
 */
int fortune_split(struct greeting *greeting, bool daily, bool expand,
                  struct template_errors *errors, struct diagnostics *remarks);

/* Returns the entry for one client, borrowed from GREETING, which has entries. */
const struct greeting *fortune_pick(const struct greeting *greeting, struct fortune_random *random,
                                    struct wall_clock *clock);

/* The index of the entry of a DAY out of N. Each entry has its day before any has a second one. */
size_t fortune_of_day(uint64_t day, size_t n);
