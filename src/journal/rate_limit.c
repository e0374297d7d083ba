/* SPDX-License-Identifier: MIT */
#include "greetd/journal/rate_limit.h"

#include "greetd/base/clock.h"

#define PERIOD_MAX_USEC (30 * USEC_PER_SEC)

struct rate_limit rate_limit_init(const struct rate_limit_settings *settings)
{
    return (struct rate_limit){.settings = *settings, .report_usec = USEC_INFINITY};
}

static bool is_limited(const struct rate_limit_settings *settings)
{
    return settings->interval_usec > 0 && settings->burst > 0 && settings->burst != UINT64_MAX;
}

static uint64_t interval_end(const struct rate_limit *limit)
{
    return usec_add(limit->began_usec, limit->settings.interval_usec);
}

bool rate_limit_is_exceeded(const struct rate_limit *limit, uint64_t now_usec)
{
    return is_limited(&limit->settings) && limit->admitted >= limit->settings.burst &&
           now_usec < interval_end(limit);
}

bool rate_limit_admit(struct rate_limit *limit, uint64_t now_usec)
{
    if (rate_limit_is_exceeded(limit, now_usec))
        return false;
    if (limit->admitted == 0 || now_usec >= interval_end(limit)) {
        limit->began_usec = now_usec;
        limit->admitted = 0;
    }
    limit->admitted++;
    return true;
}

/* An endless interval must not silence the announcements, nor an interval of 0 repeat them without
 * end. */
static uint64_t next_report(const struct rate_limit *limit, uint64_t now_usec)
{
    uint64_t interval = limit->settings.interval_usec;

    if (interval == 0 || interval > PERIOD_MAX_USEC)
        return now_usec + PERIOD_MAX_USEC;
    return now_usec + (interval < USEC_PER_SEC ? USEC_PER_SEC : interval);
}

uint64_t rate_limit_report(struct rate_limit *limit, uint64_t dropped, uint64_t now_usec)
{
    uint64_t n = dropped - limit->announced;

    if (n > 0 || rate_limit_is_exceeded(limit, now_usec))
        limit->active = true;
    if (now_usec < limit->report_usec) {
        if (limit->active && limit->report_usec == USEC_INFINITY)
            limit->report_usec = next_report(limit, now_usec);
        return 0;
    }
    /* One more period follows an active one: a worker that has not noticed yet that the limit
     * admits entries again may still drop one. */
    limit->report_usec = limit->active ? next_report(limit, now_usec) : USEC_INFINITY;
    limit->active = false;
    return n;
}

uint64_t rate_limit_deadline(const struct rate_limit *limit, uint64_t now_usec)
{
    if (!rate_limit_is_exceeded(limit, now_usec))
        return limit->report_usec;
    return usec_min(limit->report_usec, interval_end(limit));
}
