/* SPDX-License-Identifier: MIT */
#include "greetd/base/diagnostics.h"

#include <criterion/criterion.h>
#include <stdio.h>

Test(diagnostics, is_empty_at_first)
{
    struct diagnostics diagnostics = DIAGNOSTICS_NULL;

    cr_expect_eq(diagnostics.n_lines, 0);
    cr_expect_eq(diagnostics.n_errors, 0);
    diagnostics_deinit(&diagnostics);
}

Test(diagnostics, keeps_every_error_in_order)
{
    struct diagnostics diagnostics = DIAGNOSTICS_NULL;
    char expected[32];

    for (int i = 0; i < 1000; i++)
        diagnostics_add(&diagnostics, "%s:%d: error", "a.conf", i);

    cr_assert_eq(diagnostics.n_lines, 1000);
    cr_expect_eq(diagnostics.n_errors, 1000);
    for (int i = 0; i < 1000; i++) {
        sprintf(expected, "a.conf:%d: error", i);
        cr_expect_str_eq(diagnostics.lines[i], expected);
    }
    diagnostics_deinit(&diagnostics);
}

Test(diagnostics, can_be_used_again_when_emptied)
{
    struct diagnostics diagnostics = DIAGNOSTICS_NULL;

    diagnostics_add(&diagnostics, "first");
    diagnostics_deinit(&diagnostics);
    cr_expect_eq(diagnostics.n_lines, 0);
    cr_expect_eq(diagnostics.n_errors, 0);

    diagnostics_add(&diagnostics, "second");
    cr_assert_eq(diagnostics.n_lines, 1);
    cr_expect_str_eq(diagnostics.lines[0], "second");
    diagnostics_deinit(&diagnostics);
}
