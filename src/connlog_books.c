/* SPDX-License-Identifier: MIT */
#include "greetd/connlog_books.h"

#include <inttypes.h>
#include <stdio.h>

#include "greetd/deadline.h"
#include "greetd/value.h"

#define SECOND     UINT64_C(1000000)
#define PERIOD_MAX (30 * SECOND)

struct connlog_books connlog_books_open(const struct connlog_limit *limit, uint64_t now_usec)
{
    return (struct connlog_books){.limit = *limit, .settled_usec = now_usec};
}

static bool has_limit(const struct connlog_limit *limit)
{
    return limit->interval_usec > 0 && limit->burst > 0 && limit->burst != CONNLOG_BOOKS_NO_LIMIT;
}

static uint64_t interval_end(const struct connlog_books *books)
{
    return deadline_after(books->began_usec, books->limit.interval_usec);
}

bool connlog_books_exhausted(const struct connlog_books *books, uint64_t now_usec)
{
    return has_limit(&books->limit) && books->admitted >= books->limit.burst &&
           now_usec < interval_end(books);
}

bool connlog_books_admit(struct connlog_books *books, uint64_t now_usec)
{
    if (connlog_books_exhausted(books, now_usec))
        return false;
    if (books->admitted == 0 || now_usec >= interval_end(books)) {
        books->began_usec = now_usec;
        books->admitted = 0;
    }
    books->admitted++;
    return true;
}

uint64_t connlog_books_sum(const struct connlog_left_out *left_out)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < CONNLOG_REASON_N; i++)
        n += left_out->n[i];
    return n;
}

struct connlog_left_out connlog_books_unannounced(const struct connlog_books *books,
                                                  const struct connlog_left_out *total)
{
    struct connlog_left_out left_out;

    for (unsigned i = 0; i < CONNLOG_REASON_N; i++)
        left_out.n[i] = total->n[i] - books->announced.n[i];
    return left_out;
}

/* An interval that never ends, or none, is no reason never to speak, nor to speak all the time. */
static uint64_t period(const struct connlog_books *books)
{
    uint64_t interval = books->limit.interval_usec;

    if (interval == 0 || interval > PERIOD_MAX)
        return PERIOD_MAX;
    return interval < SECOND ? SECOND : interval;
}

bool connlog_books_look(struct connlog_books *books, const struct connlog_left_out *total,
                        uint64_t now_usec)
{
    bool exhausted = connlog_books_exhausted(books, now_usec);

    if (books->exhausted && !exhausted)
        books->once_more_usec = deadline_after(now_usec, period(books));
    books->exhausted = exhausted;
    if (connlog_books_sum(total) > connlog_books_sum(&books->announced))
        return true;
    books->settled_usec = now_usec;
    return false;
}

static uint64_t announcement_due(const struct connlog_books *books)
{
    uint64_t last_usec =
        books->tried_usec > books->settled_usec ? books->tried_usec : books->settled_usec;

    return deadline_after(last_usec, period(books));
}

bool connlog_books_due(const struct connlog_books *books, uint64_t now_usec)
{
    return now_usec >= announcement_due(books);
}

uint64_t connlog_books_deadline(const struct connlog_books *books, bool pending, uint64_t now_usec)
{
    bool exhausted = connlog_books_exhausted(books, now_usec);
    uint64_t deadline = pending || exhausted ? announcement_due(books) : DEADLINE_NEVER;

    if (exhausted)
        deadline = deadline_earlier(deadline, interval_end(books));
    if (now_usec < books->once_more_usec)
        deadline = deadline_earlier(deadline, books->once_more_usec);
    return deadline;
}

/* To the nearest second, and never none. */
static uint64_t in_seconds(uint64_t usec)
{
    uint64_t seconds = (usec + SECOND / 2) / SECOND;

    return (seconds > 0 ? seconds : 1) * SECOND;
}

void connlog_books_format(const struct connlog_books *books,
                          const struct connlog_left_out *left_out, uint64_t now_usec, char *text,
                          size_t size)
{
    char span[VALUE_TIME_TEXT_MAX];
    int length = snprintf(text, size,
                          "%" PRIu64 " connection entries left out in the last %s: %" PRIu64
                          " rate limit, %" PRIu64 " ring full",
                          connlog_books_sum(left_out),
                          value_format_time(in_seconds(now_usec - books->settled_usec), span),
                          left_out->n[CONNLOG_RATE_LIMIT], left_out->n[CONNLOG_RING_FULL]);

    if (left_out->n[CONNLOG_NOT_TAKEN] > 0 && (size_t)length < size)
        snprintf(text + length, size - (size_t)length, ", %" PRIu64 " not taken",
                 left_out->n[CONNLOG_NOT_TAKEN]);
}

void connlog_books_settle(struct connlog_books *books, const struct connlog_left_out *total,
                          uint64_t now_usec)
{
    books->announced = *total;
    books->settled_usec = now_usec;
}

void connlog_books_postpone(struct connlog_books *books, uint64_t now_usec)
{
    books->tried_usec = now_usec;
}
