/* SPDX-License-Identifier: MIT */
#include "greet/expect.h"

#include <criterion/criterion.h>

static char expected[] = "Hello\nthere";
static const struct greeting greeting = {.bytes = expected, .size = sizeof(expected) - 1};

/* Feeds TEXT in pieces of every size; HOW is NULL if it should be right. */
static void check(const char *text, const char *how)
{
    for (size_t piece = 1; piece <= strlen(text) + 1; piece++) {
        struct expect expect = {.greeting = &greeting};
        char last_status[EXPECT_TEXT_MAX] = "";
        bool right;

        for (size_t i = 0; i < strlen(text); i += piece)
            expect_bytes(&expect, text + i, strnlen(text + i, piece));
        right = expect_explain(&expect, last_status);
        cr_expect(right == !how, "'%s' by %zu", text, piece);
        cr_expect_str_eq(last_status, (how ? how : ""), "'%s' by %zu", text, piece);
    }
}

Test(greet_expect, the_same_bytes_are_right)
{
    check("Hello\nthere", NULL);
}

Test(greet_expect, tells_the_first_byte_that_differs)
{
    check("hello\nthere", "it differs at byte 1: \\x68 instead of \\x48");
    check("Hello there", "it differs at byte 6: \\x20 instead of \\x0a");
    check("Hello\ntherE and more", "it differs at byte 11: \\x45 instead of \\x65");
}

Test(greet_expect, tells_where_it_ends_too_early)
{
    check("", "it ends after 0 bytes of 11");
    check("Hello", "it ends after 5 bytes of 11");
}

Test(greet_expect, tells_that_it_goes_on)
{
    check("Hello\nthere!", "it goes on after 11 bytes");
}

Test(greet_expect, an_empty_greeting_can_be_expected)
{
    const struct greeting nothing = {.bytes = expected, .size = 0};
    struct expect expect = {.greeting = &nothing};
    char last_status[EXPECT_TEXT_MAX];

    cr_expect(expect_explain(&expect, last_status));
    cr_expect_not(expect_bytes(&expect, "x", 1));
    cr_expect_not(expect_explain(&expect, last_status));
    cr_expect_str_eq(last_status, "it goes on after 0 bytes");
}
