/* SPDX-License-Identifier: MIT */
#include "greetd/greeting/template.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#define ESCAPES "; the escapes are \\n, \\r, \\t, \\\\ and \\xHH"
#define BRACES  "; ${ must be followed by the name of a variable and }"

static struct diagnostics diagnostics;

static void tear_down(void)
{
    diagnostics_deinit(&diagnostics);
}

TestSuite(template_errors, .fini = tear_down);

static void expect_lines(const char *const *lines, size_t n)
{
    cr_assert_eq(diagnostics.n_lines, n, "%zu", diagnostics.n_lines);
    for (size_t i = 0; i < n; i++)
        cr_expect_str_eq(diagnostics.lines[i], lines[i]);
}

Test(template_errors, name_every_bad_escape)
{
    static const char *const lines[] = {
        "f:1: Message=: bad escape \\q at byte 3" ESCAPES,
        "f:1: Message=: bad escape \\x\\4 at byte 5; \\x must be followed by two hexadecimal "
        "digits",
        "f:1: Message=: bad escape \\4 at byte 7" ESCAPES,
        "f:1: Message=: bad escape \\ at byte 11" ESCAPES,
    };

    cr_expect_eq(template_check_escapes("\\n\\q\\x\\4\\n\\", "f:1", "Message", &diagnostics),
                 -EINVAL);
    expect_lines(lines, ELEMENTSOF(lines));
}

Test(template_errors, name_every_bad_variable)
{
    static const char *const lines[] = {
        "f:1: Message=: unknown variable $foo at byte 1",
        "f:1: Message=: unknown variable $hostnam at byte 6; did you mean $hostname?",
        "f:1: Message=: bad variable at byte 16" BRACES,
        "f:1: Message=: bad variable at byte 32; a $ that no name follows is written as $$",
        "f:1: Message=: bad variable at byte 34" BRACES,
    };
    struct greeting *greeting = NULL;

    cr_expect_eq(template_compile(&greeting, "$foo ${hostnam}${connection $$ $ ${", "f:1",
                                  "Message", &diagnostics),
                 -EINVAL);
    cr_expect_null(greeting);
    expect_lines(lines, ELEMENTSOF(lines));
}

Test(template_errors, name_every_bad_argument_but_none_with_a_bad_escape)
{
    static const char *const lines[] = {
        "f:1: Message=: bad argument of $time at byte 8; strftime(3) knows no such conversion",
        "f:1: Message=: missing argument of $time at byte 26; it is written as $time{FORMAT}",
        "f:1: Message=: unclosed argument of $time at byte 38; it is written as $time{FORMAT}",
    };
    struct greeting *greeting = NULL;

    cr_expect_eq(template_compile(&greeting, "$time{-%Q} $time{%\\q} \\q $time, $time{%H $foo",
                                  "f:1", "Message", &diagnostics),
                 -EINVAL);
    cr_expect_null(greeting);
    expect_lines(lines, ELEMENTSOF(lines));
}

Test(template_errors, name_a_bad_unit_as_it_is_written)
{
    static const char *const lines[] = {
        "f:1: Message=: bad argument of $unit_state at byte 16; a unit's name has letters, digits "
        "and : - _ . \\ @ only",
    };
    struct greeting *greeting = NULL;

    cr_expect_eq(
        template_compile(&greeting, "$unit_state{\\\\a/b.mount}", "f:1", "Message", &diagnostics),
        -EINVAL);
    expect_lines(lines, ELEMENTSOF(lines));
}

static int compile_units(struct greeting **greeting, size_t n)
{
    char text[257 * sizeof("$unit_state{a.service}")] = "", *end = text;

    for (size_t i = 0; i < n; i++)
        end = stpcpy(end, "$unit_state{a.service}");
    return template_compile(greeting, text, "f:1", "Message", &diagnostics);
}

Test(template_errors, name_each_unit_beyond_256)
{
    static const char *const lines[] = {
        "f:1: Message=: bad argument of $unit_state at byte 5645; a greeting must not have more "
        "than 256 units",
    };
    _cleanup_(greeting_unrefp) struct greeting *greeting = NULL;

    cr_expect_eq(compile_units(&greeting, 256), 0);
    greeting_unref(TAKE_PTR(greeting));
    cr_expect_eq(compile_units(&greeting, 257), -EINVAL);
    expect_lines(lines, ELEMENTSOF(lines));
}

/* The escapes were reported by template_check_escapes(). */
Test(template_errors, in_escapes_do_not_hide_errors_in_variables)
{
    static const char *const lines[] = {
        "f:1: Message=: unknown variable $foo at byte 3",
        "f:1: Message=: unknown variable $bar at byte 12",
    };
    struct greeting *greeting = NULL;

    cr_expect_eq(template_compile(&greeting, "\\q$foo \\$no$bar", "f:1", "Message", &diagnostics),
                 -EINVAL);
    expect_lines(lines, ELEMENTSOF(lines));
}

Test(template_errors, in_escapes_alone_keep_a_template_from_being_compiled)
{
    struct greeting *greeting = NULL;

    cr_expect_eq(template_compile(&greeting, "$connection\\q", "f:1", "Message", &diagnostics),
                 -EINVAL);
    cr_expect_null(greeting);
}

Test(template_errors, are_counted_beyond_the_first_hundred)
{
    char text[2 * 150 + 1] = "";

    for (size_t i = 0; i < 150; i++)
        strcpy(text + 2 * i, "\\q");
    cr_expect_eq(template_check_escapes(text, "f:1", "Message", &diagnostics), -EINVAL);
    cr_assert_eq(diagnostics.n_lines, 101);
    cr_expect_str_eq(diagnostics.lines[99], "f:1: Message=: bad escape \\q at byte 199" ESCAPES);
    cr_expect_str_eq(diagnostics.lines[100], "f:1: Message=: 50 more mistakes of this kind");
}

Test(template_errors, in_a_file_have_its_name_and_line)
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
    _cleanup_(greeting_unrefp) struct greeting *greeting = greeting_new();

    cr_assert_not_null(greeting);
    greeting->size = sizeof(bytes) - 1;
    greeting->bytes = memcpy(malloc(sizeof(bytes)), bytes, sizeof(bytes));
    cr_expect_eq(template_expand(&greeting, "/etc/motd", "f:1", "MessageFile", &diagnostics),
                 -EINVAL);
    expect_lines(lines, ELEMENTSOF(lines));
}

Test(template_errors, are_counted_beyond_a_hundred_unknown_variables)
{
    char text[102 * 6 + 1] = "";

    for (size_t i = 0; i < 102; i++)
        strcat(text, "$nonce");
    cr_expect_eq(template_compile(&(struct greeting *){NULL}, text, "f:1", "Message", &diagnostics),
                 -EINVAL);
    cr_assert_eq(diagnostics.n_lines, 101);
    cr_expect_str_eq(diagnostics.lines[100], "f:1: Message=: 2 more mistakes of this kind");
}
