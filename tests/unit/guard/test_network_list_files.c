/* SPDX-License-Identifier: MIT */
#include "greetd/guard/network_list.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "support/descriptors.h"
#include "support/temp_dir.h"

static struct temp_dir temp_dir;
static struct diagnostics errors, remarks;
static struct file_report report;
static struct network_array array;

static void set_up(void)
{
    temp_dir_init(&temp_dir);
    errors = remarks = DIAGNOSTICS_NULL;
    report = (struct file_report){.errors = &errors, .remarks = &remarks};
    array = (struct network_array){0};
}

static void tear_down(void)
{
    network_array_deinit(&array);
    diagnostics_deinit(&errors);
    diagnostics_deinit(&remarks);
    temp_dir_deinit(&temp_dir);
}

TestSuite(network_list_files, .init = set_up, .fini = tear_down);

/* Reads a list with the items of TEXT. */
static void read_list(const char *text, bool denied)
{
    struct network_list list = {0};

    cr_assert_eq(network_list_append(&list, text, "f:1"), 0);
    cr_assert_eq(network_list_read(&array, &list, "Deny", denied, &report), 0);
    network_list_clear(&list);
}

static void read_bytes(const char *bytes, size_t size)
{
    read_list(temp_dir_write(&temp_dir, "list", bytes, size), false);
}

static void read_text(const char *text)
{
    read_bytes(text, strlen(text));
}

/* The networks read so far, each with a blank behind it. */
static const char *networks(void)
{
    static char text[1024];
    char *p = text;

    *p = '\0';
    for (size_t i = 0; i < array.n; i++) {
        network_format(&array.networks[i], p);
        p += strlen(p);
        *p++ = ' ';
        *p = '\0';
    }
    return text;
}

/* The line of DIAGNOSTICS must be `f:1: Deny=PATH` and then TEXT. */
static void expect_line(const struct diagnostics *diagnostics, size_t index, const char *text)
{
    char expected[512];

    cr_assert_lt(index, diagnostics->n_lines);
    snprintf(expected, sizeof(expected), "f:1: Deny=%s%s", temp_dir_path(&temp_dir, "list"), text);
    cr_expect_str_eq(diagnostics->lines[index], expected);
}

Test(network_list_files, have_a_network_in_each_line)
{
    read_text("10.0.0.0/8\n\n  192.0.2.1\t\nlocalhost\n2001:db8::/32");
    cr_expect_str_eq(networks(), "10.0.0.0/8 192.0.2.1/32 127.0.0.0/8 ::1/128 2001:db8::/32 ");
    cr_expect_eq(errors.n_errors, 0);
}

Test(network_list_files, may_have_comments_and_empty_lines)
{
    read_text("# 1.1.1.1\n;2.2.2.2\n \t# 3.3.3.3\n10.0.0.0/8 # ten\n11.0.0.0/8\t;eleven\n \n");
    cr_expect_str_eq(networks(), "10.0.0.0/8 11.0.0.0/8 ");
    cr_expect_eq(errors.n_errors, 0);
}

Test(network_list_files, may_have_lines_that_end_with_a_carriage_return)
{
    read_text("10.0.0.0/8\r\n\r\n11.0.0.0/8 ; eleven\r\n# twelve\r\n13.0.0.0/8 \r");
    cr_expect_str_eq(networks(), "10.0.0.0/8 11.0.0.0/8 13.0.0.0/8 ");
    cr_expect_eq(errors.n_errors, 0);
}

Test(network_list_files, may_be_empty)
{
    read_text("");
    cr_expect_eq(array.n, 0);
    cr_expect_eq(errors.n_errors, 0);
}

Test(network_list_files, are_read_after_what_was_read_before)
{
    read_text("10.0.0.0/8\n");
    read_list("any", true);
    cr_expect_str_eq(networks(), "10.0.0.0/8 0.0.0.0/0 ::/0 ");
    cr_expect_not(array.networks[0].denied);
    cr_expect(array.networks[1].denied);
    cr_expect(array.networks[2].denied);
}

Test(network_list_files, are_reported_with_the_line_of_each_error)
{
    read_text("10.0.0.0/8#\n\nlocalhots\n1.1.1.1 2.2.2.2\n10.0.0.0/33 # long\n/etc/hosts\nany\n");
    cr_expect_str_eq(networks(), "0.0.0.0/0 ::/0 ");
    cr_assert_eq(errors.n_lines, 5);
    expect_line(&errors, 0,
                ":1: 10.0.0.0/8#: the length of the prefix must be a number up to 32 for IPv4, 128 "
                "for IPv6, without leading zeros");
    expect_line(&errors, 1,
                ":3: localhots: must be a network such as 192.0.2.0/24 or 2001:db8::/32, an "
                "address, any, localhost, link-local or multicast; did you mean localhost?");
    expect_line(&errors, 2, ":4: 1.1.1.1 2.2.2.2: a line must have one network");
    expect_line(&errors, 3,
                ":5: 10.0.0.0/33: the length of the prefix must be a number up to 32 for IPv4, 128 "
                "for IPv6, without leading zeros");
    expect_line(&errors, 4,
                ":6: /etc/hosts: must be a network such as 192.0.2.0/24 or 2001:db8::/32, an "
                "address, any, localhost, link-local or multicast");
}

Test(network_list_files, have_a_bounded_number_of_errors)
{
    static char bytes[2 * 250];

    for (size_t i = 0; i < sizeof(bytes); i += 2)
        memcpy(bytes + i, "x\n", 2);
    read_bytes(bytes, sizeof(bytes));
    cr_assert_eq(errors.n_lines, 101);
    expect_line(&errors, 100, ": 150 more mistakes of this kind");

    /* Each file has a bound of its own. */
    read_bytes(bytes, 20);
    cr_expect_eq(errors.n_lines, 111);
}

Test(network_list_files, are_given_up_at_the_first_byte_0)
{
    read_bytes("10.0.0.0/8\n11.0.0.0/8\0\n12.0.0.0/8\n\0", 36);
    cr_assert_eq(errors.n_lines, 1);
    expect_line(&errors, 0, ":2: a file of networks must be text, without a byte 0");
}

Test(network_list_files, are_reported_without_control_characters)
{
    read_text("\x1b[31m\xff\n");
    cr_assert_eq(errors.n_lines, 1);
    cr_expect(strstr(errors.lines[0], ":1: \\x1b[31m\\xff: must be"), "%s", errors.lines[0]);
}

Test(network_list_files, are_remarked_with_the_network_that_is_meant)
{
    read_text("10.1.2.3/8 # ten\n2001:db8::1/64\n192.0.2.1/32\n");
    cr_expect_str_eq(networks(), "10.0.0.0/8 2001:db8::/64 192.0.2.1/32 ");
    cr_expect_eq(errors.n_errors, 0);
    cr_assert_eq(remarks.n_lines, 2);
    expect_line(&remarks, 0,
                ":1: 10.1.2.3/8: remark: the address has bits beyond the prefix, which are "
                "ignored: 10.0.0.0/8");
    expect_line(&remarks, 1,
                ":2: 2001:db8::1/64: remark: the address has bits beyond the prefix, which are "
                "ignored: 2001:db8::/64");
}

Test(network_list_files, have_a_bounded_number_of_remarks)
{
    static char text[sizeof("1.1.1.1/8\n") * 250];

    for (size_t i = 0; i < 250; i++)
        strcat(text, "1.1.1.1/8\n");
    read_text(text);
    cr_assert_eq(remarks.n_lines, 101);
    expect_line(&remarks, 100, ": remark: 150 more of this kind");
}

Test(network_list_files, that_cannot_be_read_may_be_readable_later_or_not)
{
    read_list("/nonexistent /", false);
    cr_assert_eq(errors.n_lines, 2);
    cr_expect_str_eq(errors.lines[0], "f:1: Deny=/nonexistent: No such file or directory");
    cr_expect_str_eq(errors.lines[1], "f:1: Deny=/: Is a directory");
    cr_expect_eq(report.n_unreadable, 1);
    cr_expect_eq(report.read_error, -ENOENT);
}

Test(network_list_files, report_a_bounded_number_of_lines_with_two_networks)
{
    char text[102 * 4 + 1] = "";

    for (size_t i = 0; i < 102; i++)
        strcat(text, "a b\n");
    read_text(text);
    cr_assert_eq(errors.n_lines, 101);
    expect_line(&errors, 100, ": 2 more mistakes of this kind");
}

Test(network_list_files, are_not_at_fault_without_a_descriptor)
{
    struct network_list list = {0};
    char expected[256];

    cr_assert_eq(network_list_append(&list, temp_dir_write_text(&temp_dir, "list", ""), "f:1"), 0);
    struct rlimit limit = descriptors_deny();
    int r = network_list_read(&array, &list, "Deny", true, &report);
    descriptors_allow(limit);
    cr_expect_eq(r, -EMFILE);
    snprintf(expected, sizeof(expected),
             "Failed to read %s: Too many open files (no mistake in the file)", temp_dir.path);
    cr_assert_eq(errors.n_lines, 1);
    cr_expect_str_eq(errors.lines[0], expected);
    network_list_clear(&list);
}
