/* SPDX-License-Identifier: MIT */
#include "greet/exchange.h"

#include <criterion/criterion.h>

static char expected[] = "Hello\nthere";
static const struct greeting greeting = {.bytes = expected, .size = sizeof(expected) - 1};

/* Compares TEXT in pieces of every size. EXPECTED_DIFFERENCE is NULL if it should be right. */
static void check(const char *text, const char *expected_difference)
{
    for (size_t piece = 1; piece <= strlen(text) + 1; piece++) {
        struct comparison comparison = {.expected = &greeting};
        char difference[COMPARISON_TEXT_MAX] = "";
        bool right;

        for (size_t i = 0; i < strlen(text); i += piece)
            comparison_add(&comparison, text + i, strnlen(text + i, piece));
        right = comparison_explain(&comparison, difference);
        cr_expect(right == !expected_difference, "'%s' by %zu", text, piece);
        cr_expect_str_eq(difference, (expected_difference ? expected_difference : ""),
                         "'%s' by %zu", text, piece);
    }
}

Test(comparison, the_same_bytes_are_right)
{
    check("Hello\nthere", NULL);
}

Test(comparison, names_the_first_byte_that_differs)
{
    check("hello\nthere", "it differs at byte 1: \\x68 instead of \\x48");
    check("Hello there", "it differs at byte 6: \\x20 instead of \\x0a");
    check("Hello\ntherE and more", "it differs at byte 11: \\x45 instead of \\x65");
}

Test(comparison, names_the_byte_after_which_it_ends_too_early)
{
    check("", "it ends after 0 bytes of 11");
    check("Hello", "it ends after 5 bytes of 11");
}

Test(comparison, names_the_byte_after_which_it_goes_on)
{
    check("Hello\nthere!", "it goes on after 11 bytes");
}

Test(comparison, an_empty_greeting_can_be_expected)
{
    const struct greeting nothing = {.bytes = expected, .size = 0};
    struct comparison comparison = {.expected = &nothing};
    char difference[COMPARISON_TEXT_MAX];

    cr_expect(comparison_explain(&comparison, difference));
    cr_expect_not(comparison_add(&comparison, "x", 1));
    cr_expect_not(comparison_explain(&comparison, difference));
    cr_expect_str_eq(difference, "it goes on after 0 bytes");
}
