/* SPDX-License-Identifier: MIT */
#pragma once

/* The books of the log: which entries are let through under a limit, how many were left out and
 * why, and when that is to be said. With every entry that was written and every announcement the
 * sum is what was wanted, exactly.
 *
 * The limit is that of systemd and journald: so many in an interval, which begins with its first
 * entry; then none until it is over. Pure: times are passed in, CLOCK_MONOTONIC in microseconds,
 * and must not go back. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* `infinity`, as a number of entries. */
#define CONNLOG_BOOKS_NO_LIMIT UINT64_MAX

/* How many entries in how long a time; either 0, or a burst of infinity, is no limit. */
struct connlog_limit {
    uint64_t interval_usec;
    uint64_t burst;
};

/* Why an entry was left out. */
enum connlog_reason {
    CONNLOG_RATE_LIMIT,
    CONNLOG_RING_FULL,
    CONNLOG_NOT_TAKEN, /* writing it failed */
    CONNLOG_REASON_N,
};

/* How many entries were left out, for each reason. */
struct connlog_left_out {
    uint64_t n[CONNLOG_REASON_N];
};

struct connlog_books {
    struct connlog_limit limit;
    uint64_t began_usec;               /* the interval */
    uint64_t admitted;                 /* in that interval */
    struct connlog_left_out announced; /* from the beginning */
    uint64_t settled_usec;             /* when nothing was known that was not announced */
    uint64_t tried_usec;               /* when the last announcement could not be written */
    bool exhausted;                    /* when last looked at */
    uint64_t once_more_usec;           /* when to look again after that */
};

/* Opens the books at NOW. */
struct connlog_books connlog_books_open(const struct connlog_limit *limit, uint64_t now_usec);

/* Whether the limit lets one more entry through at NOW, which is then counted. */
bool connlog_books_admit(struct connlog_books *books, uint64_t now_usec);

/* Whether the limit lets nothing through at NOW. */
bool connlog_books_exhausted(const struct connlog_books *books, uint64_t now_usec);

/* Tells the books that TOTAL were left out from the beginning until NOW. Returns whether there is
 * something to announce. */
bool connlog_books_look(struct connlog_books *books, const struct connlog_left_out *total,
                        uint64_t now_usec);

/* When to look again, and to announce what there is to be announced, though no entry comes:
 * DEADLINE_NEVER if only a new entry can change anything. PENDING is what connlog_books_look() has
 * returned at NOW. While the limit is exhausted others may be counting what they leave out, and who
 * learns late that it no longer is may still count something a little after that. */
uint64_t connlog_books_deadline(const struct connlog_books *books, bool pending, uint64_t now_usec);

/* Whether what there is to be announced has waited long enough: the interval of the limit, but at
 * least a second and at most 30. */
bool connlog_books_due(const struct connlog_books *books, uint64_t now_usec);

/* The sum for all reasons. */
uint64_t connlog_books_sum(const struct connlog_left_out *left_out);

/* How many of TOTAL, the ones from the beginning, have not been announced. */
struct connlog_left_out connlog_books_unannounced(const struct connlog_books *books,
                                                  const struct connlog_left_out *total);

/* Writes the sentence about LEFT_OUT, which have not been announced at NOW, to TEXT (SIZE bytes),
 * as in `4133 connection entries left out in the last 30s: 4120 rate limit, 13 ring full`, and with
 * `, 5 not taken` if there are any. */
void connlog_books_format(const struct connlog_books *books,
                          const struct connlog_left_out *left_out, uint64_t now_usec, char *text,
                          size_t size);

/* That sentence has been written. */
void connlog_books_settle(struct connlog_books *books, const struct connlog_left_out *total,
                          uint64_t now_usec);

/* That sentence could not be written: it is due again as long after NOW as if it had been. */
void connlog_books_postpone(struct connlog_books *books, uint64_t now_usec);
