/* SPDX-License-Identifier: MIT */
#pragma once

/* The rate limit of connection entries, and the schedule on which dropped ones are announced.
 *
 * The limit is that of systemd and journald: a burst of entries in an interval, which begins with
 * its first entry; then none until the interval is over. Pure: times are passed in, CLOCK_MONOTONIC
 * in microseconds, and must not decrease. */

#include <stdbool.h>
#include <stdint.h>

/* Without a limit either one is 0, or the burst is UINT64_MAX. */
struct rate_limit_settings {
    uint64_t interval_usec;
    uint64_t burst;
};

struct rate_limit {
    struct rate_limit_settings settings;
    uint64_t began_usec;  /* the interval */
    uint64_t admitted;    /* entries of that interval */
    uint64_t announced;   /* dropped entries that the log has announced; the caller sets it */
    uint64_t report_usec; /* when the next announcement is due; USEC_INFINITY: none is */
    bool active;          /* since the last one, entries were or may have been dropped */
};

struct rate_limit rate_limit_init(const struct rate_limit_settings *settings);

/* Counts one more entry at NOW, if the limit admits it. Returns whether it does. */
bool rate_limit_admit(struct rate_limit *limit, uint64_t now_usec);

/* Whether the limit admits no entry at NOW. */
bool rate_limit_is_exceeded(const struct rate_limit *limit, uint64_t now_usec);

/* Returns how many dropped entries to announce at NOW, out of DROPPED since the beginning: 0 if
 * there are none, or if no announcement is due. One is due once in a period, which is the interval
 * of the limit, but at least a second and at most 30. */
uint64_t rate_limit_report(struct rate_limit *limit, uint64_t dropped, uint64_t now_usec);

/* When to call rate_limit_report() again after a call at NOW, even if no entry arrives;
 * USEC_INFINITY if only an entry can change anything. While the limit is exceeded, workers drop
 * entries without waking the log thread, and may go on for a moment longer. */
uint64_t rate_limit_deadline(const struct rate_limit *limit, uint64_t now_usec);
