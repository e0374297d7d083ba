/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "greetd/greeting/greeting.h"

#define ESCAPES "; the escapes are \\n, \\r, \\t, \\\\ and \\xHH"
#define BRACES  "; ${ must be followed by the name of a variable and }"

static struct diagnostics diagnostics;

static void tear_down(void)
{
    diagnostics_deinit(&diagnostics);
}

TestSuite(greeting_mistakes, .fini = tear_down);

static void expect_lines(const char *const *lines, size_t n)
{
    cr_assert_eq(diagnostics.n_lines, n, "%zu", diagnostics.n_lines);
    for (size_t i = 0; i < n; i++)
        cr_expect_str_eq(diagnostics.lines[i], lines[i]);
}

Test(greeting_mistakes, are_told_of_every_escape)
{
    static const char *const lines[] = {
        "f:1: Message=: bad escape \\q at byte 3" ESCAPES,
        "f:1: Message=: bad escape \\x\\4 at byte 5; \\x must be followed by two hexadecimal "
        "digits",
        "f:1: Message=: bad escape \\4 at byte 7" ESCAPES,
        "f:1: Message=: bad escape \\ at byte 11" ESCAPES,
    };

    cr_expect_eq(greeting_check_text("\\n\\q\\x\\4\\n\\", "f:1", "Message", &diagnostics), -EINVAL);
    expect_lines(lines, ELEMENTSOF(lines));
}

Test(greeting_mistakes, are_told_of_every_variable)
{
    static const char *const lines[] = {
        "f:1: Message=: unknown variable $foo at byte 1",
        "f:1: Message=: unknown variable $hostnam at byte 6; did you mean $hostname?",
        "f:1: Message=: bad variable at byte 16" BRACES,
        "f:1: Message=: bad variable at byte 32; a $ that no name follows is written as $$",
        "f:1: Message=: bad variable at byte 34" BRACES,
    };
    struct greeting *greeting = NULL;

    cr_expect_eq(greeting_new_from_template(&greeting, "$foo ${hostnam}${connection $$ $ ${", "f:1",
                                            "Message", &diagnostics),
                 -EINVAL);
    cr_expect_null(greeting);
    expect_lines(lines, ELEMENTSOF(lines));
}

/* Whoever asks for the variables has had the escapes checked. */
Test(greeting_mistakes, in_escapes_do_not_hide_those_in_variables)
{
    static const char *const lines[] = {
        "f:1: Message=: unknown variable $foo at byte 3",
        "f:1: Message=: unknown variable $bar at byte 12",
    };
    struct greeting *greeting = NULL;

    cr_expect_eq(
        greeting_new_from_template(&greeting, "\\q$foo \\$no$bar", "f:1", "Message", &diagnostics),
        -EINVAL);
    expect_lines(lines, ELEMENTSOF(lines));
}

Test(greeting_mistakes, of_an_escape_alone_keep_a_template_from_being_compiled)
{
    struct greeting *greeting = NULL;

    cr_expect_eq(
        greeting_new_from_template(&greeting, "$connection\\q", "f:1", "Message", &diagnostics),
        -EINVAL);
    cr_expect_null(greeting);
}

Test(greeting_mistakes, are_counted_when_there_are_too_many)
{
    char text[2 * 150 + 1] = "";

    for (size_t i = 0; i < 150; i++)
        strcpy(text + 2 * i, "\\q");
    cr_expect_eq(greeting_check_text(text, "f:1", "Message", &diagnostics), -EINVAL);
    cr_assert_eq(diagnostics.n_lines, 101);
    cr_expect_str_eq(diagnostics.lines[99], "f:1: Message=: bad escape \\q at byte 199" ESCAPES);
    cr_expect_str_eq(diagnostics.lines[100], "f:1: Message=: 50 more mistakes of this kind");
}

Test(greeting_mistakes, in_a_file_are_told_with_its_name_and_line)
{
    static const char bytes[] = "$a\n\0\n  $b $\n$";
    static const char *const lines[] = {
        "f:1: MessageFile=/etc/motd:1: unknown variable $a at byte 1",
        "f:1: MessageFile=/etc/motd:3: unknown variable $b at byte 3",
        "f:1: MessageFile=/etc/motd:3: bad variable at byte 6; a $ that no name follows is written "
        "as $$",
        "f:1: MessageFile=/etc/motd:4: bad variable at byte 1; a $ that no name follows is written "
        "as $$",
    };
    _cleanup_(greeting_freep) struct greeting *greeting = calloc(1, sizeof(*greeting));

    cr_assert_not_null(greeting);
    greeting->size = sizeof(bytes) - 1;
    greeting->bytes = memcpy(malloc(sizeof(bytes)), bytes, sizeof(bytes));
    cr_expect_eq(greeting_expand(&greeting, "/etc/motd", "f:1", "MessageFile", &diagnostics),
                 -EINVAL);
    expect_lines(lines, ELEMENTSOF(lines));
}
