/* SPDX-License-Identifier: MIT */
#include "greetd/base/diagnostics.h"

#include <criterion/criterion.h>
#include <stdio.h>

Test(report, is_empty_at_first)
{
    struct report report = REPORT_NULL;

    cr_expect_eq(report.n_lines, 0);
    cr_expect_eq(report.n_mistakes, 0);
    report_deinit(&report);
}

Test(report, keeps_every_mistake_in_order)
{
    struct report report = REPORT_NULL;
    char expected[32];

    for (int i = 0; i < 1000; i++)
        report_add(&report, "%s:%d: mistake", "a.conf", i);

    cr_assert_eq(report.n_lines, 1000);
    cr_expect_eq(report.n_mistakes, 1000);
    for (int i = 0; i < 1000; i++) {
        sprintf(expected, "a.conf:%d: mistake", i);
        cr_expect_str_eq(report.lines[i], expected);
    }
    report_deinit(&report);
}

Test(report, can_be_used_again_when_emptied)
{
    struct report report = REPORT_NULL;

    report_add(&report, "first");
    report_deinit(&report);
    cr_expect_eq(report.n_lines, 0);
    cr_expect_eq(report.n_mistakes, 0);

    report_add(&report, "second");
    cr_assert_eq(report.n_lines, 1);
    cr_expect_str_eq(report.lines[0], "second");
    report_deinit(&report);
}
