/* SPDX-License-Identifier: MIT */
#pragma once

/* The books of the log: which entries a rate limit admits, and when the number of those left out is
 * to be announced.
 *
 * The limit is that of systemd and journald: so many in an interval, which begins with its first
 * entry; then none until it is over. Pure: times are passed in, CLOCK_MONOTONIC in microseconds,
 * and must not go back. */

#include <stdbool.h>
#include <stdint.h>

/* How many entries in how long a time; either 0, or a burst of infinity, is no limit. */
struct rate_limit_settings {
    uint64_t interval_usec;
    uint64_t burst;
};

struct rate_limit {
    struct rate_limit_settings limit;
    uint64_t began_usec;  /* the interval */
    uint64_t admitted;    /* in that interval */
    uint64_t announced;   /* how many of those left out the log has announced; set by the caller */
    uint64_t report_usec; /* when the next report is due, USEC_INFINITY if none is */
    bool active;          /* entries were left out, or may have been, since the last report */
};

/* Opens the books. */
struct rate_limit rate_limit_init(const struct rate_limit_settings *limit);

/* Whether the limit admits one more entry at NOW, which is then counted. */
bool rate_limit_admit(struct rate_limit *books, uint64_t now_usec);

/* Whether the limit admits nothing at NOW. */
bool rate_limit_is_exceeded(const struct rate_limit *books, uint64_t now_usec);

/* Returns how many entries to announce at NOW, when LEFT_OUT have been left out since the
 * beginning: 0 if there are none, or if the report is not due. A report is due once in a period,
 * which is the interval of the limit, but at least a second and at most 30. */
uint64_t rate_limit_report(struct rate_limit *books, uint64_t left_out, uint64_t now_usec);

/* When to ask for the report again after having asked at NOW, though no entry comes; USEC_INFINITY
 * if only an entry can change anything. While the limit is exhausted, other threads leave entries
 * out without waking anybody, and may do so a little longer, until they notice. */
uint64_t rate_limit_deadline(const struct rate_limit *books, uint64_t now_usec);
