/* SPDX-License-Identifier: MIT */
#include "greetd/config/loader.h"

#include <criterion/criterion.h>
#include <errno.h>

#include "greetd/config/sections.h"
#include "support/fake_malloc.h"

Test(loader_allocation, that_is_refused_is_an_error_of_the_options)
{
    const char *listen[] = {"127.0.0.1:80", "[::1]:80"};
    unsigned nth = 0;
    int r;

    if (!CAN_INTERPOSE)
        cr_skip("the sanitizer has an allocator of its own");
    do {
        struct diagnostics diagnostics = DIAGNOSTICS_NULL;
        struct sections sections;

        cr_assert_eq(sections_init(&sections), 0);
        count_from_here(++nth);
        r = loader_read_options(&sections, listen, 2, "Hello", &diagnostics);
        count_to_here();
        cr_assert_eq(r, counted.n >= nth ? -ENOMEM : 0, "the %uth", nth);
        cr_assert_eq(diagnostics.n_errors, 0);
        sections_deinit(&sections);
    } while (counted.n >= nth);
    cr_assert_gt(nth, 5);
}
