/* SPDX-License-Identifier: MIT */
#include "greetd/greeting/units.h"

#include <criterion/criterion.h>

#include "greetd/greeting/template.h"
#include "support/fake_malloc.h"

#define N_UNITS 5

static struct greeting *compile(void)
{
    struct diagnostics diagnostics = DIAGNOSTICS_NULL;
    struct greeting *greeting = NULL;

    cr_assert_eq(template_compile(&greeting,
                                  "$unit_state{a.path}$unit_state{b.path}$unit_state{c.path}"
                                  "$unit_state{d.path}$unit_state{e.path}",
                                  "f:1", "Message", &diagnostics),
                 0);
    return greeting;
}

Test(units_allocation, that_is_refused_leaves_units_that_can_be_added_later)
{
    struct greeting *greeting = compile();
    unsigned nth = 0, n_errors = 0;

    do {
        struct units units = {.items = NULL};

        count_from_here(++nth);
        n_errors += units_add(&units, greeting) < 0;
        cr_assert_eq(units_add(&units, greeting), 0);
        cr_assert_eq(units.n, N_UNITS);
        units_deinit(&units);
        count_to_here();
        cr_assert_eq(counted.balance, 0);
    } while (counted.n >= nth);
    cr_assert_eq(n_errors, nth - 1);
    cr_assert_gt(n_errors, N_UNITS);
    greeting_unref(greeting);
}
