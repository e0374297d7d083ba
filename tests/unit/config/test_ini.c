/* SPDX-License-Identifier: MIT */
#include "greetd/config/ini.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <string.h>

#include "greetd/base/cleanup.h"

/* Criterion copies a row into the process of its test, and nothing that the row would point to. */
struct row {
    char text[128];
    char expected[128]; /* LINE [NAME], LINE NAME=VALUE or LINE !, each with a | at its end */
};

/* Writes a transcript of the entries in SIZE bytes. The bytes are copied to the heap, where a
 * sanitizer detects a read past their end. */
static void read_all(const char *bytes, size_t size, char *transcript, size_t room)
{
    _cleanup_free_ char *copy = malloc(size > 0 ? size : 1);
    memcpy(copy, bytes, size);
    struct ini ini = INI_INIT(copy, size);
    FILE *stream = fmemopen(transcript, room, "w");
    struct ini_entry entry;
    int r;

    while ((r = ini_next(&ini, &entry)) > 0)
        switch (entry.kind) {
        case INI_SECTION:
            fprintf(stream, "%zu [%s]|", entry.line, entry.name);
            break;
        case INI_ASSIGNMENT:
            fprintf(stream, "%zu %s=%s|", entry.line, entry.name, entry.value);
            break;
        case INI_ERROR:
            cr_expect_not_null(entry.why);
            fprintf(stream, "%zu !|", entry.line);
        }
    cr_expect_eq(r, 0);
    fclose(stream);
    ini_deinit(&ini);
}

static void expect_entries(const char *bytes, size_t size, const char *expected)
{
    char transcript[1024] = "";

    read_all(bytes, size, transcript, sizeof(transcript));
    cr_expect_str_eq(transcript, expected);
}

ParameterizedTestParameters(ini, reads_the_syntax_of_systemd)
{
    static struct row rows[] = {
        {"", ""},
        {"\n\n \t\n", ""},
        {"[A]", "1 [A]|"},
        {"[A]\nk=v", "1 [A]|2 k=v|"},
        {"[A]\nk=v\n", "1 [A]|2 k=v|"},
        {"[A]\r\nk=v\r\n", "1 [A]|2 k=v|"},
        {"[A]\rk=v\r\rl=w", "1 [A]|2 k=v|4 l=w|"},
        {"[A]\n\rk=v\n\r\n\rl=w\n\n\r\nm=x", "1 [A]|2 k=v|4 l=w|7 m=x|"},
        {"\n\n[A]\n\nk=v\n", "3 [A]|5 k=v|"},
        {"\t [A] \t\n \tk \t= \tv \t\n", "1 [A]|2 k=v|"},
        {"[Listener a b]\n", "1 [Listener a b]|"},
        {"[A]\nk=\n", "1 [A]|2 k=|"},
        {"[A]\nk==v=\n", "1 [A]|2 k==v=|"},
        {"[A]\n[B]\n[A]\n", "1 [A]|2 [B]|3 [A]|"},
        {"[A]]\n", "1 [A]]|"},
        {"[A]\nk=[B]\n", "1 [A]|2 k=[B]|"},
    };
    return cr_make_param_array(struct row, rows, ELEMENTSOF(rows));
}

ParameterizedTest(struct row *row, ini, reads_the_syntax_of_systemd)
{
    expect_entries(row->text, strlen(row->text), row->expected);
}

ParameterizedTestParameters(ini, takes_only_a_whole_line_for_a_comment)
{
    static struct row rows[] = {
        {"# c\n; c\n  # c\n\t; c\n[A]\n", "5 [A]|"},
        {"[A]\nk=v # no\n", "1 [A]|2 k=v # no|"},
        {"[A]\nk=Hi ; there\n", "1 [A]|2 k=Hi ; there|"},
        {"[A]\nk=#v\nl=;v\n", "1 [A]|2 k=#v|3 l=;v|"},
        {"[A]\n#k=v\\\nl=w\n", "1 [A]|3 l=w|"},
        {"#", ""},
    };
    return cr_make_param_array(struct row, rows, ELEMENTSOF(rows));
}

ParameterizedTest(struct row *row, ini, takes_only_a_whole_line_for_a_comment)
{
    expect_entries(row->text, strlen(row->text), row->expected);
}

ParameterizedTestParameters(ini, joins_lines_after_a_backslash)
{
    static struct row rows[] = {
        {"[A]\nk=v 2 \\\n    w\nl=x\n", "1 [A]|2 k=v 2      w|4 l=x|"},
        {"[A]\nk=v\\\n# c\n; c\n  w\nl=x\n", "1 [A]|2 k=v   w|6 l=x|"},
        {"[A]\nk=a\\\nb\\\nc\n", "1 [A]|2 k=a b c|"},
        {"[A]\r\nk=a\\\r\nb\r\n", "1 [A]|2 k=a b|"},
        {"[A]\nk=a\\ \nl=b\n", "1 [A]|2 k=a\\|3 l=b|"},
        {"[A]\r\nk=a\\\t\r\nl=b\r\n", "1 [A]|2 k=a\\|3 l=b|"},
        {"[A]\rk=a\\\rb\r", "1 [A]|2 k=a b|"},
        {"[A]\nk=a\\\n \t\nl=x\n", "1 [A]|2 k=a|4 l=x|"},
        {"[A]\nk=a\\\n\nl=x\n", "1 [A]|2 k=a|4 l=x|"},
        {"[A]\nk=a\\", "1 [A]|2 k=a|"},
        {"[A]\nk=a\\\n", "1 [A]|2 k=a|"},
        {"[A]\nk=a\\\n#c", "1 [A]|2 k=a|"},
        {"[A]\nk=\\\na\n", "1 [A]|2 k=a|"},
        {"[A]\n\\\n\\\nk=a\n", "1 [A]|2 k=a|"},
        {"[A]\nk\\\n=a\n", "1 [A]|2 k=a|"},
        {"[\\\nA]\nk=v\n", "1 [ A]|3 k=v|"},
        {"[A]\nk=a\\\n[B]\n", "1 [A]|2 k=a [B]|"},
        {"[A]\nk=a\\\\\nl=b\n", "1 [A]|2 k=a\\\\|3 l=b|"},
        {"[A]\nk=a\\\\\\\nb\n", "1 [A]|2 k=a\\\\ b|"},
        {"[A]\nk=\\a\n", "1 [A]|2 k=\\a|"},
    };
    return cr_make_param_array(struct row, rows, ELEMENTSOF(rows));
}

ParameterizedTest(struct row *row, ini, joins_lines_after_a_backslash)
{
    expect_entries(row->text, strlen(row->text), row->expected);
}

ParameterizedTestParameters(ini, leaves_quotes_and_escapes_alone)
{
    static struct row rows[] = {
        {"[A]\nk=\"v\"\n", "1 [A]|2 k=\"v\"|"},
        {"[A]\nk=' v '\n", "1 [A]|2 k=' v '|"},
        {"[A]\nk=a\\nb\\x41\n", "1 [A]|2 k=a\\nb\\x41|"},
        {"[A]\nk=a\tb  c\n", "1 [A]|2 k=a\tb  c|"},
        {"[A]\nk=a\vb\f\n", "1 [A]|2 k=a\vb\f|"},
        {"[A]\nk=\xc3\xa4\xff\n", "1 [A]|2 k=\xc3\xa4\xff|"},
    };
    return cr_make_param_array(struct row, rows, ELEMENTSOF(rows));
}

ParameterizedTest(struct row *row, ini, leaves_quotes_and_escapes_alone)
{
    expect_entries(row->text, strlen(row->text), row->expected);
}

ParameterizedTestParameters(ini, continues_after_a_malformed_line)
{
    static struct row rows[] = {
        {"k=v\n[A]\nl=w\n", "1 !|2 [A]|3 l=w|"},
        {"[A]\nfoo\nk=v\n", "1 [A]|2 !|3 k=v|"},
        {"[A]\n=v\n = v\nk=v\n", "1 [A]|2 !|3 !|4 k=v|"},
        {"[A]\n\n\nfoo\\\nbar\n\nbaz\n", "1 [A]|4 !|7 !|"},
        {"[A]\nfoo\\\n# c\nbar\nk=v\n", "1 [A]|2 !|5 k=v|"},
        {"[]\n[A]\nk=v\n", "1 !|2 [A]|3 k=v|"},
        {"[A\n[B]\nk=v\n", "1 !|2 [B]|3 k=v|"},
        {"[\n[B]\n", "1 !|2 [B]|"},
        {"[A] # c\n[B]\n", "1 !|2 [B]|"},
        {"A]\n", "1 !|"},
    };
    return cr_make_param_array(struct row, rows, ELEMENTSOF(rows));
}

ParameterizedTest(struct row *row, ini, continues_after_a_malformed_line)
{
    expect_entries(row->text, strlen(row->text), row->expected);
}

Test(ini, skips_the_assignments_of_a_malformed_section)
{
    static const char text[] = "[A]\nk=v\n[B\nk=v\nfoo\nl=w\n[C]\nm=x\n";

    expect_entries(text, strlen(text), "1 [A]|2 k=v|3 !|5 !|7 [C]|8 m=x|");
}

#define EXPECT_BYTES(literal, expected) expect_entries(literal, sizeof(literal) - 1, expected)

Test(ini, reports_a_nul_byte_with_its_line)
{
    EXPECT_BYTES("[A]\nk=a\0b\nl=w\n", "1 [A]|2 !|3 l=w|");
    EXPECT_BYTES("[A]\n# a\0b\nl=w\n", "1 [A]|2 !|3 l=w|");
    EXPECT_BYTES("[A]\nk=a\\\nb\0\nl=w\n", "1 [A]|3 !|4 l=w|");
    EXPECT_BYTES("[A]\nk=a\\\n#\0\nb=\nl=w\n", "1 [A]|3 !|4 b=|5 l=w|");
    EXPECT_BYTES("[A]\n#\0\\\nl=w\n", "1 [A]|2 !|3 l=w|");
    EXPECT_BYTES("[A\0]\nk=v\n[B]\n", "1 !|3 [B]|");
    EXPECT_BYTES("\0", "1 !|");
    EXPECT_BYTES("[A]\n\0\n\0k=v\nl=w", "1 [A]|2 !|3 !|4 l=w|");
}

Test(ini, skips_a_byte_order_mark_only_at_the_start)
{
    EXPECT_BYTES("\xef\xbb\xbf[A]\nk=v\n", "1 [A]|2 k=v|");
    EXPECT_BYTES("\xef\xbb\xbf", "");
    EXPECT_BYTES("\xef\xbb\xbf# c\n[A]\n", "2 [A]|");
    EXPECT_BYTES("[A]\n\xef\xbb\xbfk=v\n", "1 [A]|2 \xef\xbb\xbfk=v|");
    EXPECT_BYTES("\xef\xbb", "1 !|");
}

Test(ini, has_no_limit_on_the_length_of_a_line)
{
    const size_t length = 4 * 1024 * 1024;
    _cleanup_free_ char *text = malloc(length + 16);
    struct ini_entry entry;

    memcpy(text, "[A]\nk=", 6);
    memset(text + 6, 'v', length);
    struct ini ini = INI_INIT(text, length + 6);
    cr_assert_eq(ini_next(&ini, &entry), 1);
    cr_assert_eq(ini_next(&ini, &entry), 1);
    cr_expect_eq(entry.kind, INI_ASSIGNMENT);
    cr_expect_eq(strlen(entry.value), length);
    cr_expect_eq(ini_next(&ini, &entry), 0);
    ini_deinit(&ini);
}

Test(ini, joins_any_number_of_lines)
{
    const size_t n = 100000;
    _cleanup_free_ char *text = malloc(3 * n + 16);
    struct ini_entry entry;
    char *p = text;

    p += sprintf(p, "[A]\nk=");
    for (size_t i = 0; i < n; i++)
        p += sprintf(p, "v\\\n");
    struct ini ini = INI_INIT(text, (size_t)(p - text));
    cr_assert_eq(ini_next(&ini, &entry), 1);
    cr_assert_eq(ini_next(&ini, &entry), 1);
    cr_expect_eq(entry.line, 2);
    cr_expect_eq(strlen(entry.value), 2 * n - 1);
    cr_expect_eq(ini_next(&ini, &entry), 0);
    ini_deinit(&ini);
}

/* Every text of six characters that have a meaning. Reading must end, stay within the text, and
 * give entries in the order of their lines. */
Test(ini, reads_any_text_to_its_end)
{
    static const char alphabet[] = {'[', ']', '=', '\\', '#', '\n', '\r', ' ', 'a', '\0'};
    const size_t length = 6;
    size_t n_texts = 1;

    for (size_t i = 0; i < length; i++)
        n_texts *= ELEMENTSOF(alphabet);
    for (size_t number = 0; number < n_texts; number++) {
        char text[6];
        for (size_t i = 0, rest = number; i < length; i++, rest /= ELEMENTSOF(alphabet))
            text[i] = alphabet[rest % ELEMENTSOF(alphabet)];

        struct ini ini = INI_INIT(text, length);
        struct ini_entry entry;
        size_t line = 0, n = 0;
        int r;
        while ((r = ini_next(&ini, &entry)) > 0) {
            cr_assert_gt(entry.line, line, "text %zu", number);
            line = entry.line;
            n++;
        }
        cr_assert_eq(r, 0);
        cr_assert_leq(n, length, "text %zu", number);
        ini_deinit(&ini);
    }
}
