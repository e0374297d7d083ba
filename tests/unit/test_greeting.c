/* SPDX-License-Identifier: MIT */
#include "greetd/greeting.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <string.h>

#include "greetd/report.h"
#include "scratch.h"

/* Criterion copies a row into the process of its test, and nothing that the row would point to. */
struct text_row {
    char text[64];
    char bytes[64];
    size_t size;
};

#define BYTES(literal) literal, sizeof(literal) - 1

ParameterizedTestParameters(greeting, says_what_the_message_is_written_for)
{
    static struct text_row rows[] = {
        {"", BYTES("")},
        {"Hello from server!", BYTES("Hello from server!")},
        {"a\\nb\\rc\\td\\\\e", BYTES("a\nb\rc\td\\e")},
        {"\\x00\\x01\\x7f\\x80\\xff", BYTES("\x00\x01\x7f\x80\xff")},
        {"\\xaB\\xCd", BYTES("\xab\xcd")},
        {"\\x411", BYTES("A1")},
        {"\\\\n", BYTES("\\n")},
        {"\\\\\\n", BYTES("\\\n")},
        {"\\x5cn", BYTES("\\n")},
        {"\\x20 a \\x20", BYTES("  a  ")},
        {"$remote_addr costs 5$", BYTES("$remote_addr costs 5$")},
        {"\"quoted\" 100%s", BYTES("\"quoted\" 100%s")},
        {"\xc3\xa4\xff", BYTES("\xc3\xa4\xff")},
    };
    return cr_make_param_array(struct text_row, rows, ELEMENTSOF(rows));
}

ParameterizedTest(struct text_row *row, greeting, says_what_the_message_is_written_for)
{
    _cleanup_(greeting_freep) struct greeting *greeting = NULL;
    const char *why;
    size_t offset;

    cr_assert_eq(greeting_new_from_text(&greeting, row->text, &why, &offset), 0, "%s", row->text);
    cr_assert_eq(greeting->size, row->size, "%s: %zu", row->text, greeting->size);
    cr_expect_eq(memcmp(greeting->bytes, row->bytes, row->size), 0, "%s", row->text);
}

struct mistake_row {
    char text[64];
    size_t offset;
    char mistake[128];
};

ParameterizedTestParameters(greeting, names_a_bad_escape_and_where_it_is)
{
#define ESCAPES "; the escapes are \\n, \\r, \\t, \\\\ and \\xHH"
#define DIGITS  "; \\x must be followed by two hexadecimal digits"
    static struct mistake_row rows[] = {
        {"\\", 0, "f:1: Message=: bad escape \\ at byte 1" ESCAPES},
        {"abc\\", 3, "f:1: Message=: bad escape \\ at byte 4" ESCAPES},
        {"a\\qb", 1, "f:1: Message=: bad escape \\q at byte 2" ESCAPES},
        {"\\n\\\\\\0", 4, "f:1: Message=: bad escape \\0 at byte 5" ESCAPES},
        {"\\N", 0, "f:1: Message=: bad escape \\N at byte 1" ESCAPES},
        {"\\X41", 0, "f:1: Message=: bad escape \\X at byte 1" ESCAPES},
        {"\\ ", 0, "f:1: Message=: bad escape \\  at byte 1" ESCAPES},
        {"\\\xc3\xa4 \\q", 0, "f:1: Message=: bad escape \\\xc3\xa4 at byte 1" ESCAPES},
        {"\\\t", 0, "f:1: Message=: bad escape \\\\x09 at byte 1" ESCAPES},
        {"\\x", 0, "f:1: Message=: bad escape \\x at byte 1" DIGITS},
        {"\\x4", 0, "f:1: Message=: bad escape \\x4 at byte 1" DIGITS},
        {"\\x4g", 0, "f:1: Message=: bad escape \\x4g at byte 1" DIGITS},
        {"a \\xg4 b", 2, "f:1: Message=: bad escape \\xg4 at byte 3" DIGITS},
        {"\\q\\x", 0, "f:1: Message=: bad escape \\q at byte 1" ESCAPES},
    };
    return cr_make_param_array(struct mistake_row, rows, ELEMENTSOF(rows));
}

ParameterizedTest(struct mistake_row *row, greeting, names_a_bad_escape_and_where_it_is)
{
    struct report report = REPORT_NULL;
    struct greeting *greeting = NULL;
    const char *why = NULL;
    size_t offset = 99;

    cr_expect_eq(greeting_new_from_text(&greeting, row->text, &why, &offset), -EINVAL);
    cr_expect_null(greeting);
    cr_expect_not_null(why);
    cr_expect_eq(offset, row->offset);

    cr_expect_eq(greeting_check_text(row->text, "f:1", "Message", &report), -EINVAL);
    cr_assert_eq(report.n_lines, 1);
    cr_expect_str_eq(report.lines[0], row->mistake);
    report_deinit(&report);
}

Test(greeting, finds_nothing_to_report_in_a_good_message)
{
    struct report report = REPORT_NULL;

    cr_expect_eq(greeting_check_text("Hello\\n", "f:1", "Message", &report), 0);
    cr_expect_eq(report.n_mistakes, 0);
    report_deinit(&report);
}

Test(greeting, may_be_16_MiB_long_and_no_longer)
{
    _cleanup_(greeting_freep) struct greeting *greeting = NULL;
    struct report report = REPORT_NULL;
    _cleanup_free_ char *text = malloc(GREETING_SIZE_MAX + 8);
    const char *why;
    size_t offset;

    /* Its last byte is written with four characters: what counts is what is sent. */
    memset(text, 'a', GREETING_SIZE_MAX);
    strcpy(text + GREETING_SIZE_MAX - 1, "\\x0a");
    cr_assert_eq(greeting_new_from_text(&greeting, text, &why, &offset), 0);
    cr_expect_eq(greeting->size, GREETING_SIZE_MAX);

    strcpy(text + GREETING_SIZE_MAX - 1, "\\x0aa");
    cr_expect_eq(greeting_check_text(text, "f:1", "Message", &report), -EINVAL);
    cr_assert_eq(report.n_lines, 1);
    cr_expect_str_eq(report.lines[0], "f:1: Message=: must not be longer than 16777216 bytes");
    report_deinit(&report);
}

Test(greeting, is_freed_if_there_is_one)
{
    greeting_free(NULL);
}

static struct scratch scratch;

static void set_up(void)
{
    scratch_init(&scratch);
}

static void tear_down(void)
{
    scratch_deinit(&scratch);
}

TestSuite(greeting_file, .init = set_up, .fini = tear_down);

Test(greeting_file, is_sent_byte_for_byte)
{
    static const char bytes[] = "\xef\xbb\xbf$a\\n\0 \r\n";
    _cleanup_(greeting_freep) struct greeting *greeting = NULL;
    const char *path = scratch_write(&scratch, "a", bytes, sizeof(bytes));

    cr_assert_eq(greeting_new_from_file(&greeting, path), 0);
    cr_assert_eq(greeting->size, sizeof(bytes));
    cr_expect_eq(memcmp(greeting->bytes, bytes, sizeof(bytes)), 0);
}

Test(greeting_file, may_be_16_MiB_long_and_no_longer)
{
    _cleanup_(greeting_freep) struct greeting *greeting = NULL, *none = NULL;
    const char *path = scratch_write_text(&scratch, "a", "");

    cr_assert_eq(truncate(path, (off_t)GREETING_SIZE_MAX), 0);
    cr_assert_eq(greeting_new_from_file(&greeting, path), 0);
    cr_expect_eq(greeting->size, GREETING_SIZE_MAX);

    cr_assert_eq(truncate(path, (off_t)GREETING_SIZE_MAX + 1), 0);
    cr_expect_eq(greeting_new_from_file(&none, path), -EFBIG);
    cr_expect_null(none);
}

Test(greeting_file, must_be_there_and_regular)
{
    struct greeting *none = NULL;

    cr_expect_eq(greeting_new_from_file(&none, scratch_path(&scratch, "none")), -ENOENT);
    cr_expect_eq(greeting_new_from_file(&none, scratch.directory), -EISDIR);
    cr_expect_eq(greeting_new_from_file(&none, "/dev/zero"), -EINVAL);
    cr_expect_null(none);
}
