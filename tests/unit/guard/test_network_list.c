/* SPDX-License-Identifier: MIT */
#include "greetd/guard/network_list.h"

#include <criterion/criterion.h>
#include <string.h>

static struct network_list list;
static struct diagnostics diagnostics;

static void set_up(void)
{
    list = (struct network_list){0};
    diagnostics = DIAGNOSTICS_NULL;
}

static void tear_down(void)
{
    network_list_clear(&list);
    diagnostics_deinit(&diagnostics);
}

TestSuite(network_list, .init = set_up, .fini = tear_down);

static void expect_item(const struct network_list *of, size_t index, const char *text,
                        const char *origin)
{
    cr_assert_lt(index, of->n);
    cr_expect_str_eq(of->texts[index], text);
    cr_expect_str_eq(of->origins[index], origin);
}

Test(network_list, has_each_item_of_a_text_with_its_origin)
{
    cr_assert_eq(network_list_append(&list, "10.0.0.0/8", "f:1"), 0);
    cr_assert_eq(network_list_append(&list, " any\t/a/b  ::1 ", "f:2"), 0);
    cr_assert_eq(list.n, 4);
    expect_item(&list, 0, "10.0.0.0/8", "f:1");
    expect_item(&list, 1, "any", "f:2");
    expect_item(&list, 2, "/a/b", "f:2");
    expect_item(&list, 3, "::1", "f:2");
}

Test(network_list, has_what_is_right_of_a_text_with_errors)
{
    cr_assert_eq(network_list_append(&list, "x 10.0.0.0/8 10.0.0.0/33 /a", "f:1"), 0);
    cr_assert_eq(list.n, 2);
    expect_item(&list, 0, "10.0.0.0/8", "f:1");
    expect_item(&list, 1, "/a", "f:1");
}

Test(network_list, is_cleared)
{
    cr_assert_eq(network_list_append(&list, "any", "f:1"), 0);
    network_list_clear(&list);
    cr_expect_eq(list.n, 0);
    cr_assert_eq(network_list_append(&list, "::1", "f:2"), 0);
    expect_item(&list, 0, "::1", "f:2");
}

Test(network_list, is_copied_with_its_strings)
{
    struct network_list copy = {0};

    for (int i = 0; i < 5; i++)
        cr_assert_eq(network_list_append(&list, "any /a", "f:1"), 0);
    cr_assert_eq(network_list_copy(&copy, &list), 0);
    cr_assert_eq(copy.n, 10);
    expect_item(&copy, 9, "/a", "f:1");
    cr_expect_neq(copy.texts[9], list.texts[9]);
    network_list_clear(&copy);
}

Test(network_list, is_checked_as_a_whole)
{
    cr_expect_eq(network_list_check("any 10.0.0.0/8\t/nonexistent", "f:1", "Deny", &diagnostics),
                 0);
    cr_expect_eq(diagnostics.n_errors, 0);

    cr_expect_eq(
        network_list_check("ani 10.0.0.0/8 a/b 10/8 10.0.0.0/40", "f:1", "Deny", &diagnostics), 0);
    cr_assert_eq(diagnostics.n_lines, 4);
    cr_expect_str_eq(diagnostics.lines[0],
                     "f:1: Deny=ani: must be a network such as 192.0.2.0/24 or 2001:db8::/32, an "
                     "address, any, localhost, link-local or multicast, or the absolute path of a "
                     "file with these; did you mean any?");
    cr_expect(strncmp(diagnostics.lines[1], "f:1: Deny=a/b: must be a network", 31) == 0);
    cr_expect(strncmp(diagnostics.lines[2], "f:1: Deny=10/8: must be a network", 31) == 0);
    cr_expect_str_eq(diagnostics.lines[3],
                     "f:1: Deny=10.0.0.0/40: the length of the prefix must be a number up to 32 "
                     "for IPv4, 128 for IPv6, without leading zeros");
}

Test(network_list, with_low_bits_is_no_error)
{
    cr_expect_eq(network_list_check("10.1.2.3/8", "f:1", "Deny", &diagnostics), 0);
    cr_expect_eq(diagnostics.n_errors, 0);
}

Test(network_list, reports_a_bounded_number_of_errors)
{
    char text[2 * 150 + 1];

    for (size_t i = 0; i < 150; i++)
        memcpy(text + 2 * i, "x ", 3);
    cr_expect_eq(network_list_check(text, "f:1", "Allow", &diagnostics), 0);
    cr_assert_eq(diagnostics.n_lines, 101);
    cr_expect_str_eq(diagnostics.lines[100], "f:1: Allow=: 50 more mistakes of this kind");
}
