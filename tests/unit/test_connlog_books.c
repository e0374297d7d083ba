/* SPDX-License-Identifier: MIT */
#include "greetd/connlog_books.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#include "greetd/deadline.h"
#include "greetd/util.h"

#define SECOND UINT64_C(1000000)
#define START  (1000 * SECOND)

static const struct connlog_limit five_in_ten_seconds = {.interval_usec = 10 * SECOND, .burst = 5};

static unsigned admitted_of(struct connlog_books *books, unsigned n, uint64_t now_usec)
{
    unsigned admitted = 0;

    for (unsigned i = 0; i < n; i++)
        admitted += connlog_books_admit(books, now_usec);
    return admitted;
}

static struct connlog_left_out left_out(uint64_t rate_limit, uint64_t ring_full)
{
    return (struct connlog_left_out){
        .n = {[CONNLOG_RATE_LIMIT] = rate_limit, [CONNLOG_RING_FULL] = ring_full}};
}

Test(connlog_books, admit_a_burst_in_an_interval_that_its_first_entry_begins)
{
    struct connlog_books books = connlog_books_open(&five_in_ten_seconds, START);

    cr_expect(connlog_books_admit(&books, START + 100 * SECOND));
    cr_expect_eq(admitted_of(&books, 10, START + 109 * SECOND), 4);
    cr_expect_eq(admitted_of(&books, 10, START + 110 * SECOND - 1), 0);
    cr_expect_eq(admitted_of(&books, 10, START + 110 * SECOND), 5);
    cr_expect_eq(admitted_of(&books, 10, START + 119 * SECOND), 0);
    cr_expect_eq(admitted_of(&books, 10, START + 500 * SECOND), 5);
}

Test(connlog_books, are_exhausted_when_nothing_more_gets_through)
{
    struct connlog_books books = connlog_books_open(&five_in_ten_seconds, START);

    cr_expect_not(connlog_books_exhausted(&books, START));
    cr_expect_eq(admitted_of(&books, 4, START), 4);
    cr_expect_not(connlog_books_exhausted(&books, START));
    cr_expect_eq(admitted_of(&books, 1, START), 1);
    cr_expect(connlog_books_exhausted(&books, START));
    cr_expect(connlog_books_exhausted(&books, START + 10 * SECOND - 1));
    cr_expect_not(connlog_books_exhausted(&books, START + 10 * SECOND));
}

ParameterizedTestParameters(connlog_books, know_what_is_no_limit)
{
    static struct connlog_limit limits[] = {
        {.interval_usec = 0, .burst = 5},
        {.interval_usec = 10 * SECOND, .burst = 0},
        {.interval_usec = 10 * SECOND, .burst = CONNLOG_BOOKS_NO_LIMIT},
    };
    return cr_make_param_array(struct connlog_limit, limits, ELEMENTSOF(limits));
}

ParameterizedTest(struct connlog_limit *limit, connlog_books, know_what_is_no_limit)
{
    struct connlog_books books = connlog_books_open(limit, START);

    cr_expect_eq(admitted_of(&books, 10000, START), 10000);
    cr_expect_not(connlog_books_exhausted(&books, START));
    cr_expect_eq(connlog_books_deadline(&books, false, START), DEADLINE_NEVER);
}

Test(connlog_books, of_an_endless_interval_admit_one_burst_for_ever)
{
    const struct connlog_limit limit = {.interval_usec = DEADLINE_NEVER, .burst = 5};
    struct connlog_books books = connlog_books_open(&limit, START);

    cr_expect_eq(admitted_of(&books, 10, START), 5);
    cr_expect_eq(admitted_of(&books, 10, START * 1000), 0);
}

Test(connlog_books, take_up_another_limit)
{
    struct connlog_books books = connlog_books_open(&five_in_ten_seconds, START);

    cr_expect_eq(admitted_of(&books, 10, START), 5);
    books.limit.burst = 8;
    cr_expect_eq(admitted_of(&books, 10, START), 3);
    books.limit.burst = 2;
    cr_expect_eq(admitted_of(&books, 10, START), 0);
    books.limit.interval_usec = 0;
    cr_expect_eq(admitted_of(&books, 10, START), 10);
}

static const char *sentence(const struct connlog_books *books, const struct connlog_left_out *total,
                            uint64_t now_usec)
{
    static char text[256];
    struct connlog_left_out left_out = connlog_books_unannounced(books, total);

    connlog_books_format(books, &left_out, now_usec, text, sizeof(text));
    return text;
}

Test(connlog_books, say_how_many_for_each_reason_and_in_what_time)
{
    struct connlog_books books = connlog_books_open(&five_in_ten_seconds, START);
    struct connlog_left_out total = left_out(4120, 13);

    cr_expect(connlog_books_look(&books, &total, START + SECOND));
    cr_expect_str_eq(sentence(&books, &total, START + 30 * SECOND + 1000),
                     "4133 connection entries left out in the last 30s: 4120 rate limit, "
                     "13 ring full");
    connlog_books_settle(&books, &total, START + 30 * SECOND);
    cr_expect_not(connlog_books_look(&books, &total, START + 40 * SECOND));

    total = left_out(4121, 13);
    cr_expect(connlog_books_look(&books, &total, START + 41 * SECOND));
    cr_expect_str_eq(sentence(&books, &total, START + 130 * SECOND),
                     "1 connection entries left out in the last 1min 30s: 1 rate limit, "
                     "0 ring full");
}

Test(connlog_books, never_speak_of_no_time_at_all)
{
    struct connlog_books books = connlog_books_open(&five_in_ten_seconds, START);
    struct connlog_left_out total = left_out(0, 1);

    cr_expect_str_eq(sentence(&books, &total, START),
                     "1 connection entries left out in the last 1s: 0 rate limit, "
                     "1 ring full");
}

struct period_row {
    uint64_t interval_usec, period_usec;
};

ParameterizedTestParameters(connlog_books, announce_once_in_an_interval)
{
    static struct period_row rows[] = {
        {10 * SECOND, 10 * SECOND},
        {30 * SECOND, 30 * SECOND},
        {3600 * SECOND, 30 * SECOND},
        {0, 30 * SECOND},
        {1, SECOND},
        {DEADLINE_NEVER, 30 * SECOND},
    };
    return cr_make_param_array(struct period_row, rows, ELEMENTSOF(rows));
}

ParameterizedTest(struct period_row *row, connlog_books, announce_once_in_an_interval)
{
    const struct connlog_limit limit = {.interval_usec = row->interval_usec,
                                        .burst = CONNLOG_BOOKS_NO_LIMIT};
    struct connlog_books books = connlog_books_open(&limit, START);
    const uint64_t settled = START + 7 * SECOND, due = settled + row->period_usec;
    struct connlog_left_out total = left_out(0, 0);

    connlog_books_look(&books, &total, settled);
    total = left_out(0, 1);
    cr_expect(connlog_books_look(&books, &total, settled + 1));
    cr_expect_eq(connlog_books_deadline(&books, true, settled + 1), due);
    cr_expect_not(connlog_books_due(&books, due - 1));
    cr_expect(connlog_books_due(&books, due));
}

/* Others count meanwhile what they leave out, and nobody is woken for it. */
Test(connlog_books, are_looked_at_again_while_exhausted)
{
    struct connlog_books books = connlog_books_open(&five_in_ten_seconds, START);

    cr_expect_eq(connlog_books_deadline(&books, false, START), DEADLINE_NEVER);
    admitted_of(&books, 5, START + SECOND);
    connlog_books_look(&books, &(struct connlog_left_out){0}, START + 2 * SECOND);
    cr_expect_eq(connlog_books_deadline(&books, false, START + 2 * SECOND), START + 11 * SECOND);

    const struct connlog_limit endless = {.interval_usec = DEADLINE_NEVER, .burst = 5};
    books = connlog_books_open(&endless, START);
    admitted_of(&books, 5, START);
    cr_expect_eq(connlog_books_deadline(&books, false, START), START + 30 * SECOND);
}

/* Who has not learnt yet that the limit is no longer exhausted counts, and wakes nobody. */
Test(connlog_books, are_looked_at_once_more_when_no_longer_exhausted)
{
    struct connlog_books books = connlog_books_open(&five_in_ten_seconds, START);
    const uint64_t end = START + 10 * SECOND;
    struct connlog_left_out total = left_out(0, 0);

    admitted_of(&books, 5, START);
    connlog_books_look(&books, &total, START);
    connlog_books_look(&books, &total, end);
    cr_expect_eq(connlog_books_deadline(&books, false, end), end + 10 * SECOND);
    connlog_books_look(&books, &total, end + SECOND);
    cr_expect_eq(connlog_books_deadline(&books, false, end + SECOND), end + 10 * SECOND);
    connlog_books_look(&books, &total, end + 10 * SECOND);
    cr_expect_eq(connlog_books_deadline(&books, false, end + 10 * SECOND), DEADLINE_NEVER);
}

Test(connlog_books, say_that_some_were_not_taken_only_if_some_were_not)
{
    struct connlog_books books = connlog_books_open(&five_in_ten_seconds, START);
    struct connlog_left_out total = {.n = {[CONNLOG_RING_FULL] = 13, [CONNLOG_NOT_TAKEN] = 5}};

    cr_expect_str_eq(sentence(&books, &total, START + SECOND),
                     "18 connection entries left out in the last 1s: 0 rate limit, 13 ring full, "
                     "5 not taken");
}

Test(connlog_books, announce_again_a_period_later_what_could_not_be_written)
{
    struct connlog_books books = connlog_books_open(&five_in_ten_seconds, START);
    struct connlog_left_out total = left_out(0, 1);
    const uint64_t due = START + 10 * SECOND, again = due + 10 * SECOND;

    cr_expect(connlog_books_due(&books, due));
    connlog_books_postpone(&books, due);
    cr_expect(connlog_books_look(&books, &total, due));
    cr_expect_eq(connlog_books_deadline(&books, true, due), again);
    cr_expect_not(connlog_books_due(&books, again - 1));
    cr_expect(connlog_books_due(&books, again));
    cr_expect_str_eq(sentence(&books, &total, again), "1 connection entries left out in the last "
                                                      "20s: 0 rate limit, 1 ring full");
}
