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

static unsigned count_admitted(struct rate_limit *limit, unsigned n, uint64_t now_usec)
{
    unsigned admitted = 0;

    for (unsigned i = 0; i < n; i++)
        admitted += rate_limit_admit(limit, now_usec);
    return admitted;
}

Test(rate_limit, admits_a_burst_per_interval_from_its_first_entry_on)
{
    struct rate_limit limit = rate_limit_init(&five_in_ten_seconds);

    cr_expect(rate_limit_admit(&limit, START + 100 * SECOND));
    cr_expect_eq(count_admitted(&limit, 10, START + 109 * SECOND), 4);
    cr_expect_eq(count_admitted(&limit, 10, START + 110 * SECOND - 1), 0);
    cr_expect_eq(count_admitted(&limit, 10, START + 110 * SECOND), 5);
    cr_expect_eq(count_admitted(&limit, 10, START + 119 * SECOND), 0);
    cr_expect_eq(count_admitted(&limit, 10, START + 500 * SECOND), 5);
}

Test(rate_limit, is_exceeded_after_the_burst)
{
    struct rate_limit limit = rate_limit_init(&five_in_ten_seconds);

    cr_expect_not(rate_limit_is_exceeded(&limit, START));
    cr_expect_eq(count_admitted(&limit, 4, START), 4);
    cr_expect_not(rate_limit_is_exceeded(&limit, START));
    cr_expect_eq(count_admitted(&limit, 1, START), 1);
    cr_expect(rate_limit_is_exceeded(&limit, START));
    cr_expect(rate_limit_is_exceeded(&limit, START + 10 * SECOND - 1));
    cr_expect_not(rate_limit_is_exceeded(&limit, START + 10 * SECOND));
}

ParameterizedTestParameters(rate_limit, can_be_disabled)
{
    static struct rate_limit_settings limits[] = {
        {.interval_usec = 0, .burst = 5},
        {.interval_usec = 10 * SECOND, .burst = 0},
        {.interval_usec = 10 * SECOND, .burst = UINT64_MAX},
    };
    return cr_make_param_array(struct rate_limit_settings, limits, ELEMENTSOF(limits));
}

ParameterizedTest(struct rate_limit_settings *settings, rate_limit, can_be_disabled)
{
    struct rate_limit limit = rate_limit_init(settings);

    cr_expect_eq(count_admitted(&limit, 10000, START), 10000);
    cr_expect_not(rate_limit_is_exceeded(&limit, START));
    cr_expect_eq(rate_limit_report(&limit, 0, START), 0);
    cr_expect_eq(rate_limit_deadline(&limit, START), USEC_INFINITY);
}

Test(rate_limit, admits_one_burst_in_an_infinite_interval)
{
    const struct rate_limit_settings settings = {.interval_usec = USEC_INFINITY, .burst = 5};
    struct rate_limit limit = rate_limit_init(&settings);

    cr_expect_eq(count_admitted(&limit, 10, START), 5);
    cr_expect_eq(count_admitted(&limit, 10, START * 1000), 0);
}

Test(rate_limit, applies_other_settings_at_once)
{
    struct rate_limit limit = rate_limit_init(&five_in_ten_seconds);

    cr_expect_eq(count_admitted(&limit, 10, START), 5);
    limit.settings.burst = 8;
    cr_expect_eq(count_admitted(&limit, 10, START), 3);
    limit.settings.burst = 2;
    cr_expect_eq(count_admitted(&limit, 10, START), 0);
    limit.settings.interval_usec = 0;
    cr_expect_eq(count_admitted(&limit, 10, START), 10);
}

struct period_row {
    uint64_t interval_usec, period_usec;
};

ParameterizedTestParameters(rate_limit, reports_once_per_interval)
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

ParameterizedTest(struct period_row *row, rate_limit, reports_once_per_interval)
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

Test(rate_limit, reports_again_after_a_period_if_the_entry_was_not_written)
{
    struct rate_limit limit = rate_limit_init(&five_in_ten_seconds);
    const uint64_t due = START + 10 * SECOND;

    rate_limit_report(&limit, 3, START);
    cr_expect_eq(rate_limit_report(&limit, 3, due), 3);
    cr_expect_eq(rate_limit_report(&limit, 3, due), 0);
    cr_expect_eq(rate_limit_deadline(&limit, due), due + 10 * SECOND);
    cr_expect_eq(rate_limit_report(&limit, 3, due + 10 * SECOND), 3);
}

Test(rate_limit, needs_no_timer_when_all_drops_are_announced)
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

/* Other threads count the entries that they drop, and do not wake the log thread. */
Test(rate_limit, has_a_deadline_while_exceeded)
{
    struct rate_limit limit = rate_limit_init(&five_in_ten_seconds);

    count_admitted(&limit, 5, START);
    cr_expect_eq(rate_limit_report(&limit, 0, START + 2 * SECOND), 0);
    cr_expect_eq(rate_limit_deadline(&limit, START + 2 * SECOND), START + 10 * SECOND);

    const struct rate_limit_settings endless = {.interval_usec = USEC_INFINITY, .burst = 5};
    limit = rate_limit_init(&endless);
    count_admitted(&limit, 5, START);
    for (uint64_t now = START; now < START + 300 * SECOND; now += 30 * SECOND) {
        cr_expect_eq(rate_limit_report(&limit, 0, now), 0);
        cr_expect_eq(rate_limit_deadline(&limit, now), now + 30 * SECOND);
    }
}

/* A thread that has not seen the end of the limit yet still counts without a wake. It has a whole
 * period for that, at whatever time the timer was set. */
Test(rate_limit, has_a_deadline_for_a_period_after_it_was_exceeded)
{
    struct rate_limit limit = rate_limit_init(&five_in_ten_seconds);
    const uint64_t end = START + 10 * SECOND, due = START + 10 * SECOND + 1;

    count_admitted(&limit, 5, START);
    rate_limit_report(&limit, 0, START + 1);
    rate_limit_report(&limit, 0, end);
    cr_expect_eq(rate_limit_deadline(&limit, end), due);
    rate_limit_report(&limit, 0, due);
    cr_expect_eq(rate_limit_deadline(&limit, due), due + 10 * SECOND);
    cr_expect_eq(rate_limit_report(&limit, 1, due + 10 * SECOND), 1);
}
