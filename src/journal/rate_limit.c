/* SPDX-License-Identifier: MIT */
#include "greetd/journal/rate_limit.h"

#include "greetd/base/clock.h"

#define SECOND     UINT64_C(1000000)
#define PERIOD_MAX (30 * SECOND)

struct rate_limit rate_limit_init(const struct rate_limit_settings *limit)
{
    return (struct rate_limit){.limit = *limit, .report_usec = USEC_INFINITY};
}

static bool has_limit(const struct rate_limit_settings *limit)
{
    return limit->interval_usec > 0 && limit->burst > 0 && limit->burst != UINT64_MAX;
}

static uint64_t interval_end(const struct rate_limit *books)
{
    return usec_add(books->began_usec, books->limit.interval_usec);
}

bool rate_limit_is_exceeded(const struct rate_limit *books, uint64_t now_usec)
{
    return has_limit(&books->limit) && books->admitted >= books->limit.burst &&
           now_usec < interval_end(books);
}

bool rate_limit_admit(struct rate_limit *books, uint64_t now_usec)
{
    if (rate_limit_is_exceeded(books, now_usec))
        return false;
    if (books->admitted == 0 || now_usec >= interval_end(books)) {
        books->began_usec = now_usec;
        books->admitted = 0;
    }
    books->admitted++;
    return true;
}

/* An interval that never ends, or none, is no reason to stay silent for ever, or to report all the
 * time. */
static uint64_t next_report(const struct rate_limit *books, uint64_t now_usec)
{
    uint64_t interval = books->limit.interval_usec;

    if (interval == 0 || interval > PERIOD_MAX)
        return now_usec + PERIOD_MAX;
    return now_usec + (interval < SECOND ? SECOND : interval);
}

uint64_t rate_limit_report(struct rate_limit *books, uint64_t left_out, uint64_t now_usec)
{
    uint64_t n = left_out - books->announced;

    if (n > 0 || rate_limit_is_exceeded(books, now_usec))
        books->active = true;
    if (now_usec < books->report_usec) {
        if (books->active && books->report_usec == USEC_INFINITY)
            books->report_usec = next_report(books, now_usec);
        return 0;
    }
    /* After an active period one more follows: a thread that has not yet noticed that the limit is
     * no longer exhausted may still leave something out. */
    books->report_usec = books->active ? next_report(books, now_usec) : USEC_INFINITY;
    books->active = false;
    return n;
}

uint64_t rate_limit_deadline(const struct rate_limit *books, uint64_t now_usec)
{
    if (!rate_limit_is_exceeded(books, now_usec))
        return books->report_usec;
    return usec_min(books->report_usec, interval_end(books));
}
