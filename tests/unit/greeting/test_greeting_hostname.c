/* SPDX-License-Identifier: MIT */

/* It would make gethostname(2) an inline function, which can't take the place of the C library's.
 */
#undef _FORTIFY_SOURCE

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "greetd/greeting/greeting.h"

static size_t n_asked;

/* Stands in for gethostname(2) on a host whose name gets longer each time. */
int gethostname(char *name, size_t size)
{
    snprintf(name, size, "host%.*s", (int)(4 * n_asked++), "-and-more-and-more");
    return 0;
}

Test(greeting_hostname, is_whole_even_if_it_changes_meanwhile)
{
    _cleanup_(greeting_freep) struct greeting *greeting = NULL;
    struct diagnostics diagnostics = DIAGNOSTICS_NULL;

    cr_assert_eq(greeting_new_from_template(&greeting, "$hostname,${hostname}!", "f:1", "Message",
                                            &diagnostics),
                 0);
    cr_expect_eq(n_asked, 2);
    cr_assert_eq(greeting->size, strlen("host,host-and!"));
    cr_expect_arr_eq(greeting->bytes, "host,host-and!", greeting->size);
    diagnostics_deinit(&diagnostics);
}
