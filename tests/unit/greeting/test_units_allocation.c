/* SPDX-License-Identifier: MIT */
#include "greetd/greeting/units.h"

#include <criterion/criterion.h>
#include <string.h>

#include "greetd/greeting/fortune.h"
#include "greetd/greeting/template.h"
#include "support/fake_malloc.h"

#define N_UNITS 5
#define ENTRIES                                                                                    \
    "$unit_state{a.path}\n%\n$unit_state{b.path}\n%\n$unit_state{c.path}\n%\n"                     \
    "$unit_state{d.path}\n%\n$unit_state{e.path}\n"

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

/* The entries of a file have a unit each. */
static struct greeting *compile_entries(void)
{
    struct diagnostics diagnostics = DIAGNOSTICS_NULL;
    struct template_errors errors =
        template_errors_in("", "/f", "f:1", "MessageFile", &diagnostics);
    struct greeting *greeting = greeting_new();

    cr_assert_not_null(greeting);
    greeting->bytes = strdup(ENTRIES);
    greeting->size = strlen(ENTRIES);
    cr_assert_eq(fortune_split(greeting, false, true, &errors, NULL), 0);
    cr_assert_eq(greeting->n_entries, N_UNITS);
    return greeting;
}

static void refuse_each(const struct greeting *greeting)
{
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
}

Test(units_allocation, that_is_refused_leaves_units_that_can_be_added_later)
{
    struct greeting *greeting = compile(), *entries = compile_entries();

    refuse_each(greeting);
    refuse_each(entries);
    greeting_unref(greeting);
    greeting_unref(entries);
}
