/* SPDX-License-Identifier: MIT */
#include "greetd/journal/rate_limit.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#include "greetd/base/cleanup.h"
#include "greetd/base/clock.h"

#define SECOND UINT64_C(1000000)
#define START  (1000 * SECOND)

static const struct rate_limit_settings five_in_ten_seconds = {.interval_usec = 10 * SECOND,
                                                               .burst = 5};

static unsigned admitted_of(struct rate_limit *limit, unsigned n, uint64_t now_usec)
{
    unsigned admitted = 0;

    for (unsigned i = 0; i < n; i++)
        admitted += rate_limit_admit(limit, now_usec);
    return admitted;
}

Test(rate_limit, admit_a_burst_in_an_interval_that_its_first_entry_begins)
{
    struct rate_limit limit = rate_limit_init(&five_in_ten_seconds);

    cr_expect(rate_limit_admit(&limit, START + 100 * SECOND));
    cr_expect_eq(admitted_of(&limit, 10, START + 109 * SECOND), 4);
    cr_expect_eq(admitted_of(&limit, 10, START + 110 * SECOND - 1), 0);
    cr_expect_eq(admitted_of(&limit, 10, START + 110 * SECOND), 5);
    cr_expect_eq(admitted_of(&limit, 10, START + 119 * SECOND), 0);
    cr_expect_eq(admitted_of(&limit, 10, START + 500 * SECOND), 5);
}

Test(rate_limit, are_exhausted_when_nothing_more_gets_through)
{
    struct rate_limit limit = rate_limit_init(&five_in_ten_seconds);

    cr_expect_not(rate_limit_is_exceeded(&limit, START));
    cr_expect_eq(admitted_of(&limit, 4, START), 4);
    cr_expect_not(rate_limit_is_exceeded(&limit, START));
    cr_expect_eq(admitted_of(&limit, 1, START), 1);
    cr_expect(rate_limit_is_exceeded(&limit, START));
    cr_expect(rate_limit_is_exceeded(&limit, START + 10 * SECOND - 1));
    cr_expect_not(rate_limit_is_exceeded(&limit, START + 10 * SECOND));
}

ParameterizedTestParameters(rate_limit, know_what_is_no_limit)
{
    static struct rate_limit_settings limits[] = {
        {.interval_usec = 0, .burst = 5},
        {.interval_usec = 10 * SECOND, .burst = 0},
        {.interval_usec = 10 * SECOND, .burst = UINT64_MAX},
    };
    return cr_make_param_array(struct rate_limit_settings, limits, ELEMENTSOF(limits));
}

ParameterizedTest(struct rate_limit_settings *settings, rate_limit, know_what_is_no_limit)
{
    struct rate_limit limit = rate_limit_init(settings);

    cr_expect_eq(admitted_of(&limit, 10000, START), 10000);
    cr_expect_not(rate_limit_is_exceeded(&limit, START));
    cr_expect_eq(rate_limit_report(&limit, 0, START), 0);
    cr_expect_eq(rate_limit_deadline(&limit, START), USEC_INFINITY);
}

Test(rate_limit, of_an_endless_interval_admit_one_burst_for_ever)
{
    const struct rate_limit_settings settings = {.interval_usec = USEC_INFINITY, .burst = 5};
    struct rate_limit limit = rate_limit_init(&settings);

    cr_expect_eq(admitted_of(&limit, 10, START), 5);
    cr_expect_eq(admitted_of(&limit, 10, START * 1000), 0);
}

Test(rate_limit, take_up_another_limit)
{
    struct rate_limit limit = rate_limit_init(&five_in_ten_seconds);

    cr_expect_eq(admitted_of(&limit, 10, START), 5);
    limit.settings.burst = 8;
    cr_expect_eq(admitted_of(&limit, 10, START), 3);
    limit.settings.burst = 2;
    cr_expect_eq(admitted_of(&limit, 10, START), 0);
    limit.settings.interval_usec = 0;
    cr_expect_eq(admitted_of(&limit, 10, START), 10);
}

struct period_row {
    uint64_t interval_usec, period_usec;
};

ParameterizedTestParameters(rate_limit, report_once_in_an_interval)
{
    static struct period_row rows[] = {
        {10 * SECOND, 10 * SECOND},
        {30 * SECOND, 30 * SECOND},
        {3600 * SECOND, 30 * SECOND},
        {0, 30 * SECOND},
        {1, SECOND},
        {USEC_INFINITY, 30 * SECOND},
    };
    return cr_make_param_array(struct period_row, rows, ELEMENTSOF(rows));
}

ParameterizedTest(struct period_row *row, rate_limit, report_once_in_an_interval)
{
    const struct rate_limit_settings settings = {.interval_usec = row->interval_usec,
                                                 .burst = UINT64_MAX};
    struct rate_limit limit = rate_limit_init(&settings);
    const uint64_t due = START + row->period_usec, again = due + row->period_usec;

    cr_expect_eq(rate_limit_report(&limit, 1, START), 0);
    cr_expect_eq(rate_limit_deadline(&limit, START), due);
    cr_expect_eq(rate_limit_report(&limit, 4133, due - 1), 0);
    cr_expect_eq(rate_limit_report(&limit, 4133, due), 4133);
    limit.announced += 4133;
    cr_expect_eq(rate_limit_report(&limit, 4140, due + 1), 0);
    cr_expect_eq(rate_limit_deadline(&limit, due + 1), again);
    cr_expect_eq(rate_limit_report(&limit, 4140, again), 7);
}

Test(rate_limit, report_again_a_period_later_what_could_not_be_written)
{
    struct rate_limit limit = rate_limit_init(&five_in_ten_seconds);
    const uint64_t due = START + 10 * SECOND;

    rate_limit_report(&limit, 3, START);
    cr_expect_eq(rate_limit_report(&limit, 3, due), 3);
    cr_expect_eq(rate_limit_report(&limit, 3, due), 0);
    cr_expect_eq(rate_limit_deadline(&limit, due), due + 10 * SECOND);
    cr_expect_eq(rate_limit_report(&limit, 3, due + 10 * SECOND), 3);
}

Test(rate_limit, need_no_timer_when_all_is_announced)
{
    struct rate_limit limit = rate_limit_init(&five_in_ten_seconds);
    const uint64_t due = START + 10 * SECOND;

    cr_expect_eq(rate_limit_report(&limit, 0, START), 0);
    cr_expect_eq(rate_limit_deadline(&limit, START), USEC_INFINITY);
    rate_limit_report(&limit, 1, START);
    limit.announced += rate_limit_report(&limit, 1, due);
    cr_expect_eq(rate_limit_report(&limit, 1, due + 10 * SECOND), 0);
    cr_expect_eq(rate_limit_deadline(&limit, due + 10 * SECOND), USEC_INFINITY);
}

/* Other threads count meanwhile what they leave out, and wake nobody. */
Test(rate_limit, are_looked_at_while_exhausted)
{
    struct rate_limit limit = rate_limit_init(&five_in_ten_seconds);

    admitted_of(&limit, 5, START);
    cr_expect_eq(rate_limit_report(&limit, 0, START + 2 * SECOND), 0);
    cr_expect_eq(rate_limit_deadline(&limit, START + 2 * SECOND), START + 10 * SECOND);

    const struct rate_limit_settings endless = {.interval_usec = USEC_INFINITY, .burst = 5};
    limit = rate_limit_init(&endless);
    admitted_of(&limit, 5, START);
    for (uint64_t now = START; now < START + 300 * SECOND; now += 30 * SECOND) {
        cr_expect_eq(rate_limit_report(&limit, 0, now), 0);
        cr_expect_eq(rate_limit_deadline(&limit, now), now + 30 * SECOND);
    }
}

/* A thread that has not noticed yet that the limit is no longer exhausted counts, and wakes nobody.
 * It has a whole period for that, whenever the timer was set. */
Test(rate_limit, are_looked_at_for_a_period_after_they_were_exhausted)
{
    struct rate_limit limit = rate_limit_init(&five_in_ten_seconds);
    const uint64_t end = START + 10 * SECOND, due = START + 10 * SECOND + 1;

    admitted_of(&limit, 5, START);
    rate_limit_report(&limit, 0, START + 1);
    rate_limit_report(&limit, 0, end);
    cr_expect_eq(rate_limit_deadline(&limit, end), due);
    rate_limit_report(&limit, 0, due);
    cr_expect_eq(rate_limit_deadline(&limit, due), due + 10 * SECOND);
    cr_expect_eq(rate_limit_report(&limit, 1, due + 10 * SECOND), 1);
}
