/* SPDX-License-Identifier: MIT */
#include "greetd/base/text.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <string.h>

#include "greetd/base/cleanup.h"

static const char *const names[] = {"Backlog", "Message", "MessageFile", "LingerSec", "Workers"};

/* Criterion copies a row into the process of its test, and nothing that the row would point to. */
struct row {
    char name[32], nearest[32];
};

ParameterizedTestParameters(text, finds_the_nearest_name)
{
    static struct row rows[] = {
        {"LigerSec", "LingerSec"},       {"LLingerSec", "LingerSec"}, {"LinkerSec", "LingerSec"},
        {"LingreSec", "LingerSec"},      {"Linger", "LingerSec"},     {"lingersec", "LingerSec"},
        {"BACKLOG", "Backlog"},          {"Mesage", "Message"},       {"MessageFil", "MessageFile"},
        {"Message_File", "MessageFile"}, {"Worker", "Workers"},       {"Bacxyog", "Backlog"},
        {"Message", "Message"},          {"BAKcolg", "Backlog"},
    };
    return cr_make_param_array(struct row, rows, ELEMENTSOF(rows));
}

ParameterizedTest(struct row *row, text, finds_the_nearest_name)
{
    const char *nearest = text_nearest(row->name, names, ELEMENTSOF(names));

    cr_assert_not_null(nearest, "%s", row->name);
    cr_expect_str_eq(nearest, row->nearest);
}

/* 70 characters. */
#define LONG_NAME "MessageMessageMessageMessageMessageMessageMessageMessageMessageMessage"

Test(text, finds_no_name_that_is_far)
{
    static const char *const far_names[] = {"", "x", "Timeout", "IdleExitSec", "Bacxyzg", "Sec"};

    for (size_t i = 0; i < ELEMENTSOF(far_names); i++)
        cr_expect_null(text_nearest(far_names[i], names, ELEMENTSOF(names)), "%s", far_names[i]);
    cr_expect_null(text_nearest("Message", names, 0));
    cr_expect_null(text_nearest("Message", (const char *const[]){LONG_NAME}, 1));
}

Test(text, prefers_the_first_of_equally_near_names)
{
    static const char *const twins[] = {"Allow1", "Allow2"};

    cr_expect_eq(text_nearest("Allow3", twins, 2), twins[0]);
    cr_expect_eq(text_nearest("Allow2", twins, 2), twins[1]);
}

Test(text, compares_names_of_any_length)
{
    char name[1000], candidate[1000];
    const char *const candidates[] = {candidate};

    for (size_t length = 1; length < sizeof(name); length++) {
        memset(name, 'a', length);
        memset(candidate, 'a', length);
        name[length] = candidate[length] = '\0';
        cr_expect_eq(text_nearest(name, candidates, 1), length <= 64 ? candidate : NULL);
    }
}

Test(text, quotes_a_short_text_unchanged)
{
    char buffer[TEXT_EXCERPT_MAX];

    cr_expect_str_eq(text_excerpt("", buffer), "");
    cr_expect_str_eq(text_excerpt("500 ms \xc3\xa4 \\n", buffer), "500 ms \xc3\xa4 \\n");
}

Test(text, quotes_control_characters_and_invalid_bytes_by_number)
{
    char buffer[TEXT_EXCERPT_MAX];

    cr_expect_str_eq(text_excerpt("\x1b[2J\n\x7f", buffer), "\\x1b[2J\\x0a\\x7f");
    cr_expect_str_eq(text_excerpt("\xc2\x80\xc2\x9b"
                                  "2J\xc2\xa0",
                                  buffer),
                     "\\xc2\\x80\\xc2\\x9b"
                     "2J\xc2\xa0");
    /* Latin-1, half a character, an overlong form, a surrogate, beyond U+10FFFF. */
    cr_expect_str_eq(text_excerpt("gr\xfc\xdf", buffer), "gr\\xfc\\xdf");
    cr_expect_str_eq(text_excerpt("\xe2\x82", buffer), "\\xe2\\x82");
    cr_expect_str_eq(text_excerpt("\xc0\xaf", buffer), "\\xc0\\xaf");
    cr_expect_str_eq(text_excerpt("\xed\xa0\x80", buffer), "\\xed\\xa0\\x80");
    cr_expect_str_eq(text_excerpt("\xf4\x90\x80\x80", buffer), "\\xf4\\x90\\x80\\x80");
    cr_expect_str_eq(text_excerpt("\xe2\x82\xac \xf0\x9f\x91\x8b", buffer),
                     "\xe2\x82\xac \xf0\x9f\x91\x8b");
}

/* Texts of all lengths, with two-byte characters at even and odd offsets. */
Test(text, cuts_a_long_text_between_two_characters)
{
    for (size_t ascii = 0; ascii < 3; ascii++)
        for (size_t length = 60; length < 300; length++) {
            char text[512] = "aa", buffer[TEXT_EXCERPT_MAX];
            for (size_t i = ascii; i + 1 < length; i += 2)
                memcpy(text + i, "\xc3\xa4", sizeof("\xc3\xa4"));

            size_t shown = strlen(text_excerpt(text, buffer));
            cr_assert_lt(shown, sizeof(buffer));
            if (strcmp(buffer, text) == 0)
                continue;
            cr_expect_str_eq(buffer + shown - 3, "...");
            cr_expect_eq((shown - 3 - ascii) % 2, 0, "%s", buffer);
            cr_expect_eq(memcmp(buffer, text, shown - 3), 0, "%s", buffer);
        }
}

Test(text, stays_within_the_buffer_when_it_escapes)
{
    for (size_t length = 0; length < 300; length++) {
        char text[512] = "", buffer[TEXT_EXCERPT_MAX];
        memset(text, '\x01', length);
        cr_expect_lt(strlen(text_excerpt(text, buffer)), sizeof(buffer));
    }
}

Test(text, writes_numbers_in_decimal)
{
    static const uint64_t numbers[] = {0, 7, 10, 255, 65535, 1000000007, UINT64_MAX};

    for (size_t i = 0; i < ELEMENTSOF(numbers); i++) {
        char buffer[TEXT_DECIMAL_MAX], expected[TEXT_DECIMAL_MAX];

        sprintf(expected, "%ju", (uintmax_t)numbers[i]);
        *text_write_decimal(buffer, numbers[i]) = '\0';
        cr_expect_str_eq(buffer, expected);
    }
}
