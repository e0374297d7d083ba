/* SPDX-License-Identifier: MIT */

/* With it gethostname(2) is an inline function, which this test could not replace. */
#undef _FORTIFY_SOURCE

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "greetd/greeting/template.h"

static size_t n_calls;

/* Replaces gethostname(2) with one whose name gets longer at each call. */
int gethostname(char *name, size_t size)
{
    snprintf(name, size, "host%.*s", (int)(4 * n_calls++), "-and-more-and-more");
    return 0;
}

Test(template_hostname, is_whole_even_if_the_name_changes_meanwhile)
{
    _cleanup_(greeting_unrefp) struct greeting *greeting = NULL;
    struct diagnostics diagnostics = DIAGNOSTICS_NULL;

    cr_assert_eq(
        template_compile(&greeting, "$hostname,${hostname}!", "f:1", "Message", &diagnostics), 0);
    cr_expect_eq(n_calls, 2);
    cr_assert_eq(greeting->size, strlen("host,host-and!"));
    cr_expect_arr_eq(greeting->bytes, "host,host-and!", greeting->size);
    diagnostics_deinit(&diagnostics);
}
