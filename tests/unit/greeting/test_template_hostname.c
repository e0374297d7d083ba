/* SPDX-License-Identifier: MIT */

/* With it gethostname(2) is an inline function, which this test could not replace. */
#undef _FORTIFY_SOURCE

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "greetd/greeting/template.h"
#include "support/fake.h"

static size_t n_calls;

/* Replaces gethostname(2) with one whose name gets longer at each call. */
FAKE int gethostname(char *name, size_t size)
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

/* Compiles BEGIN, as many bytes as a text may have, and END. */
static void expect_too_long(const char *begin, const char *end)
{
    struct diagnostics diagnostics = DIAGNOSTICS_NULL;
    struct greeting *greeting = NULL;
    char *text = malloc(strlen(begin) + GREETING_SIZE_MAX + strlen(end) + 1);
    char *p = memset(mempcpy(text, begin, strlen(begin)), 'a', GREETING_SIZE_MAX);

    strcpy(p + GREETING_SIZE_MAX, end);
    cr_expect_eq(template_compile(&greeting, text, "f:1", "Message", &diagnostics), -EFBIG);
    cr_assert_eq(diagnostics.n_lines, 1);
    cr_expect_str_eq(diagnostics.lines[0], "f:1: Message=: must not be longer than 16777216 bytes");
    diagnostics_deinit(&diagnostics);
    free(text);
}

#define NAMES "$hostname$hostname$hostname$hostname$hostname$hostname"

/* The text grows beyond its limit within what follows the names. */
Test(template_hostname, leaves_no_room_for_an_argument_or_a_text)
{
    expect_too_long(NAMES "$unit_state{", "}.");
    expect_too_long(NAMES "!", "$connection");
}
