/* SPDX-License-Identifier: MIT */
#include "greetd/greeting/template.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "greetd/base/cleanup.h"
#include "greetd/greeting/variable.h"

/* Criterion copies a row into the process of its test, and nothing that the row would point to. */
struct text_row {
    char text[64];
    char bytes[64];
    size_t size;
};

#define BYTES(literal) literal, sizeof(literal) - 1

ParameterizedTestParameters(template, decodes_escapes)
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

ParameterizedTest(struct text_row *row, template, decodes_escapes)
{
    _cleanup_(greeting_unrefp) struct greeting *greeting = NULL;
    const char *why;
    size_t offset;

    cr_assert_eq(template_compile_escapes(&greeting, row->text, &why, &offset), 0, "%s", row->text);
    cr_assert_eq(greeting->size, row->size, "%s: %zu", row->text, greeting->size);
    cr_expect_eq(memcmp(greeting->bytes, row->bytes, row->size), 0, "%s", row->text);
}

struct error_row {
    char text[64];
    size_t offset;
    char error[128];
};

ParameterizedTestParameters(template, reports_a_bad_escape_with_its_place)
{
#define ESCAPES "; the escapes are \\n, \\r, \\t, \\\\ and \\xHH"
#define DIGITS  "; \\x must be followed by two hexadecimal digits"
    static struct error_row rows[] = {
        {"\\", 0, "f:1: Message=: bad escape \\ at byte 1" ESCAPES},
        {"abc\\", 3, "f:1: Message=: bad escape \\ at byte 4" ESCAPES},
        {"a\\qb", 1, "f:1: Message=: bad escape \\q at byte 2" ESCAPES},
        {"\\n\\\\\\0", 4, "f:1: Message=: bad escape \\0 at byte 5" ESCAPES},
        {"\\N", 0, "f:1: Message=: bad escape \\N at byte 1" ESCAPES},
        {"\\X41", 0, "f:1: Message=: bad escape \\X at byte 1" ESCAPES},
        {"\\ ", 0, "f:1: Message=: bad escape \\  at byte 1" ESCAPES},
        {"\\\xc3\xa4 q", 0, "f:1: Message=: bad escape \\\xc3\xa4 at byte 1" ESCAPES},
        {"\\\t", 0, "f:1: Message=: bad escape \\\\x09 at byte 1" ESCAPES},
        {"\\x", 0, "f:1: Message=: bad escape \\x at byte 1" DIGITS},
        {"\\x4", 0, "f:1: Message=: bad escape \\x4 at byte 1" DIGITS},
        {"\\x4g", 0, "f:1: Message=: bad escape \\x4g at byte 1" DIGITS},
        {"a \\xg4 b", 2, "f:1: Message=: bad escape \\xg4 at byte 3" DIGITS},
    };
    return cr_make_param_array(struct error_row, rows, ELEMENTSOF(rows));
}

ParameterizedTest(struct error_row *row, template, reports_a_bad_escape_with_its_place)
{
    struct diagnostics diagnostics = DIAGNOSTICS_NULL;
    struct greeting *greeting = NULL;
    const char *why = NULL;
    size_t offset = 99;

    cr_expect_eq(template_compile_escapes(&greeting, row->text, &why, &offset), -EINVAL);
    cr_expect_null(greeting);
    cr_expect_not_null(why);
    cr_expect_eq(offset, row->offset);

    cr_expect_eq(template_check_escapes(row->text, "f:1", "Message", &diagnostics), -EINVAL);
    cr_assert_eq(diagnostics.n_lines, 1);
    cr_expect_str_eq(diagnostics.lines[0], row->error);
    diagnostics_deinit(&diagnostics);
}

Test(template, reports_nothing_in_a_good_message)
{
    struct diagnostics diagnostics = DIAGNOSTICS_NULL;

    cr_expect_eq(template_check_escapes("Hello\\n", "f:1", "Message", &diagnostics), 0);
    cr_expect_eq(diagnostics.n_errors, 0);
    diagnostics_deinit(&diagnostics);
}

Test(template, decodes_to_16_MiB_and_no_more)
{
    _cleanup_(greeting_unrefp) struct greeting *greeting = NULL;
    struct diagnostics diagnostics = DIAGNOSTICS_NULL;
    _cleanup_free_ char *text = malloc(GREETING_SIZE_MAX + 8);
    const char *why;
    size_t offset;

    /* The last byte is written with four characters. The limit is on the decoded bytes. */
    memset(text, 'a', GREETING_SIZE_MAX);
    strcpy(text + GREETING_SIZE_MAX - 1, "\\x0a");
    cr_assert_eq(template_compile_escapes(&greeting, text, &why, &offset), 0);
    cr_expect_eq(greeting->size, GREETING_SIZE_MAX);

    strcpy(text + GREETING_SIZE_MAX - 1, "\\x0aa");
    cr_expect_eq(template_check_escapes(text, "f:1", "Message", &diagnostics), -EFBIG);
    cr_assert_eq(diagnostics.n_lines, 1);
    cr_expect_str_eq(diagnostics.lines[0], "f:1: Message=: must not be longer than 16777216 bytes");
    diagnostics_deinit(&diagnostics);
}

/* Expects PIECES to be the text of GREETING with the names of its variables between < and >. */
static void expect_pieces(const struct greeting *greeting, const char *pieces)
{
    char text[256] = "";
    size_t n = 0, literal = 0;

    for (size_t i = 0; i < greeting->n_pieces; i++) {
        const struct greeting_piece *piece = &greeting->pieces[i];
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%.*s%s%s%s%s%s%s", (int)piece->size,
                              greeting->bytes + literal, piece->variable ? "<" : "",
                              piece->variable ? piece->variable->name : "",
                              piece->argument ? "{" : "",
                              piece->argument ? piece->argument->text : "",
                              piece->argument ? "}" : "", piece->variable ? ">" : "");
        literal += piece->size;
        cr_expect(piece->variable || i + 1 == greeting->n_pieces);
    }
    if (!greeting->pieces)
        snprintf(text, sizeof(text), "%.*s", (int)greeting->size, greeting->bytes);
    else
        cr_expect_eq(literal, greeting->size);
    cr_expect_str_eq(text, pieces);
}

struct variable_row {
    char text[64];
    char pieces[80];
    bool constant; /* without a variable to fill in for each client */
};

ParameterizedTestParameters(template, compiles_variables)
{
    static struct variable_row rows[] = {
        {"", "", true},
        {"Hello\\n", "Hello\n", true},
        {"$remote_addr", "<remote_addr>", false},
        {"a$remote_addr", "a<remote_addr>", false},
        {"$remote_addr.\\r\\n", "<remote_addr>.\r\n", false},
        {"${remote_addr}x${remote_port}", "<remote_addr>x<remote_port>", false},
        {"[$remote_addr$remote_port$connection]", "[<remote_addr><remote_port><connection>]",
         false},
        {"$metrics", "<metrics>", false},
        {"$$", "$", true},
        {"$$$$remote_addr", "$$remote_addr", true},
        {"$$$remote_addr", "$<remote_addr>", false},
        {"costs 5$$ for $connection", "costs 5$ for <connection>", false},
        {"\\x24remote_addr", "$remote_addr", true},
        {"\\\\$connection", "\\<connection>", false},
        {"{$connection}", "{<connection>}", false},
        {"$time{%F}", "<time{%F}>", false},
        {"a$time{%H:%M}$time{ \\x7d\\n$pid}.", "a<time{%H:%M}><time{ }\n$pid}>.", false},
        {"${time}{%F}", "<time{%F}>", false},
        {"$pid{%F}", "<pid>{%F}", false},
        {"${time_iso8601}{", "<time_iso8601>{", false},
    };
    return cr_make_param_array(struct variable_row, rows, ELEMENTSOF(rows));
}

ParameterizedTest(struct variable_row *row, template, compiles_variables)
{
    _cleanup_(greeting_unrefp) struct greeting *greeting = NULL;
    struct diagnostics diagnostics = DIAGNOSTICS_NULL;

    cr_assert_eq(template_compile(&greeting, row->text, "f:1", "Message", &diagnostics), 0);
    cr_expect_eq(diagnostics.n_errors, 0);
    cr_expect_eq(greeting->pieces == NULL, row->constant, "%s", row->text);
    expect_pieces(greeting, row->pieces);
    diagnostics_deinit(&diagnostics);
}

Test(template, collects_what_its_variables_need)
{
    static const struct {
        const char *text;
        unsigned needs;
    } rows[] = {
        {"$remote_addr $time{%F}", 0},
        {"$server_port $remote_addr", VARIABLE_NEEDS_LOCAL},
        {"$tcpinfo_rtt", VARIABLE_NEEDS_RTT},
        {"$tcpinfo_rtt $server_addr $msec", VARIABLE_NEEDS_LOCAL | VARIABLE_NEEDS_RTT},
    };

    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        _cleanup_(greeting_unrefp) struct greeting *greeting = NULL;

        cr_assert_eq(template_compile(&greeting, rows[i].text, "f:1", "Message", NULL), 0);
        cr_expect_eq(greeting->needs, rows[i].needs, "%s", rows[i].text);
    }
}

Test(template, replaces_a_constant_variable_when_it_compiles)
{
    _cleanup_(greeting_unrefp) struct greeting *greeting = NULL;
    struct diagnostics diagnostics = DIAGNOSTICS_NULL;
    char name[256], expected[600];

    cr_assert_eq(gethostname(name, sizeof(name)), 0);
    snprintf(expected, sizeof(expected), "%s,%s!", name, name);
    cr_assert_eq(
        template_compile(&greeting, "$hostname,${hostname}!", "f:1", "Message", &diagnostics), 0);
    cr_expect_null(greeting->pieces);
    cr_expect_eq(greeting->size, strlen(expected));
    cr_expect_arr_eq(greeting->bytes, expected, strlen(expected));
}

Test(template, compiles_any_number_of_variables)
{
    _cleanup_(greeting_unrefp) struct greeting *greeting = NULL;
    struct diagnostics diagnostics = DIAGNOSTICS_NULL;
    char text[sizeof("$connection,") * 1000] = "";

    for (size_t i = 0; i < 1000; i++)
        strcpy(text + i * strlen("$connection,"), "$connection,");
    cr_assert_eq(template_compile(&greeting, text, "f:1", "Message", &diagnostics), 0);
    cr_assert_eq(greeting->n_pieces, 1001);
    cr_expect_eq(greeting->size, 1000);
    for (size_t i = 0; i < 1000; i++)
        cr_assert_eq(greeting->pieces[i].size, i > 0);
}

ParameterizedTestParameters(template, reports_a_bad_variable_with_its_place)
{
#define BRACES "; ${ must be followed by the name of a variable and }"
#define FORMAT "; it is written as $time{FORMAT}"
#define LONE   "; a $ that no name follows is written as $$"
    static struct error_row rows[] = {
        {"$", 0, "f:1: Message=: bad variable at byte 1" LONE},
        {"costs 5$", 7, "f:1: Message=: bad variable at byte 8" LONE},
        {"$5", 0, "f:1: Message=: bad variable at byte 1" LONE},
        {"$$$", 2, "f:1: Message=: bad variable at byte 3" LONE},
        {"$\\x41", 0, "f:1: Message=: bad variable at byte 1" LONE},
        {"a${", 1, "f:1: Message=: bad variable at byte 2" BRACES},
        {"${}", 0, "f:1: Message=: bad variable at byte 1" BRACES},
        {"${connection", 0, "f:1: Message=: bad variable at byte 1" BRACES},
        {"${connection }", 0, "f:1: Message=: bad variable at byte 1" BRACES},
        {"Hi $conection.", 3,
         "f:1: Message=: unknown variable $conection at byte 4; did you mean $connection?"},
        {"\\n${Hostname}", 2,
         "f:1: Message=: unknown variable $Hostname at byte 3; did you mean $hostname?"},
        {"$remote_addr_", 0,
         "f:1: Message=: unknown variable $remote_addr_ at byte 1; did you mean $remote_addr?"},
        {"$request_uri", 0, "f:1: Message=: unknown variable $request_uri at byte 1"},
        {"at $time", 3, "f:1: Message=: missing argument of $time at byte 4" FORMAT},
        {"${time} {%F}", 0, "f:1: Message=: missing argument of $time at byte 1" FORMAT},
        {"$time{%F", 5, "f:1: Message=: unclosed argument of $time at byte 6" FORMAT},
        {"$time{%F\\x7d", 5, "f:1: Message=: unclosed argument of $time at byte 6" FORMAT},
        {"$time{", 5, "f:1: Message=: unclosed argument of $time at byte 6" FORMAT},
        {"$time{}", 6, "f:1: Message=: bad argument of $time at byte 7; it must not be empty"},
        {"$time{\\x00}", 6,
         "f:1: Message=: bad argument of $time at byte 7; it must not have a byte of zeroes"},
        {"$time{\\x41\\n%Ed}", 12,
         "f:1: Message=: bad argument of $time at byte 13; strftime(3) knows no such conversion"},
    };
    return cr_make_param_array(struct error_row, rows, ELEMENTSOF(rows));
}

ParameterizedTest(struct error_row *row, template, reports_a_bad_variable_with_its_place)
{
    struct diagnostics diagnostics = DIAGNOSTICS_NULL;
    struct greeting *greeting = NULL;

    cr_expect_eq(template_compile(&greeting, row->text, "f:1", "Message", &diagnostics), -EINVAL);
    cr_expect_null(greeting);
    cr_assert_eq(diagnostics.n_lines, 1);
    cr_expect_str_eq(diagnostics.lines[0], row->error);
    diagnostics_deinit(&diagnostics);
}

Test(template, reports_a_bad_variable_of_any_length)
{
    struct diagnostics diagnostics = DIAGNOSTICS_NULL;
    struct greeting *greeting = NULL;
    char text[10000] = "$";

    memset(text + 1, 'a', sizeof(text) - 2);
    cr_expect_eq(template_compile(&greeting, text, "f:1", "Message", &diagnostics), -EINVAL);
    cr_assert_eq(diagnostics.n_lines, 1);
    cr_expect_eq(strncmp(diagnostics.lines[0], "f:1: Message=: unknown variable $aaaa", 37), 0);
    diagnostics_deinit(&diagnostics);
}

/* A greeting of SIZE bytes, as read from a file. */
static struct greeting *new_plain(const char *bytes, size_t size)
{
    struct greeting *greeting = greeting_new();

    cr_assert_not_null(greeting);
    greeting->bytes = malloc(size);
    cr_assert_not_null(greeting->bytes);
    memcpy(greeting->bytes, bytes, size);
    greeting->size = size;
    return greeting;
}

Test(template, expands_variables_of_a_file_but_no_escapes)
{
    static const char bytes[] = "a\\n\0$connection$$\\q";
    _cleanup_(greeting_unrefp) struct greeting *greeting = new_plain(bytes, sizeof(bytes) - 1);
    struct diagnostics diagnostics = DIAGNOSTICS_NULL;

    cr_assert_eq(template_expand(&greeting, "/etc/motd", "f:1", "MessageFile", &diagnostics), 0);
    cr_assert_eq(greeting->n_pieces, 2);
    cr_expect_eq(greeting->pieces[0].size, 4);
    cr_expect_str_eq(greeting->pieces[0].variable->name, "connection");
    cr_expect_null(greeting->pieces[1].variable);
    cr_assert_eq(greeting->size, 7);
    cr_expect_arr_eq(greeting->bytes, "a\\n\0$\\q", 7);
}

Test(template, leaves_a_file_with_a_bad_variable_unchanged)
{
    _cleanup_(greeting_unrefp) struct greeting *greeting = new_plain("$hostnam", 8);
    struct diagnostics diagnostics = DIAGNOSTICS_NULL;

    cr_expect_eq(template_expand(&greeting, "/etc/motd", "f:1", "MessageFile", &diagnostics),
                 -EINVAL);
    cr_assert_eq(diagnostics.n_lines, 1);
    cr_expect_str_eq(diagnostics.lines[0],
                     "f:1: MessageFile=/etc/motd:1: unknown variable $hostnam at "
                     "byte 1; did you mean $hostname?");
    cr_expect_eq(greeting->size, 8);
    diagnostics_deinit(&diagnostics);
}

/* Expands `a` LENGTH times and then the name of the host. */
static int expand_hostname_after(size_t length, size_t *ret_size, struct diagnostics *diagnostics)
{
    size_t size = length + strlen("$hostname");
    _cleanup_free_ char *text = malloc(size + 1);

    cr_assert_not_null(text);
    memset(text, 'a', length);
    strcpy(text + length, "$hostname");
    _cleanup_(greeting_unrefp) struct greeting *greeting = new_plain(text, size);
    int r = template_expand(&greeting, "/etc/motd", "f:1", "MessageFile", diagnostics);
    *ret_size = greeting->size;
    return r;
}

/* What counts is the text with the name of the host, which may be shorter than `$hostname`. */
Test(template, expands_a_file_to_16_MiB_and_no_more)
{
    struct diagnostics diagnostics = DIAGNOSTICS_NULL;
    char name[256];
    size_t size;

    cr_assert_eq(gethostname(name, sizeof(name)), 0);
    size_t length = GREETING_SIZE_MAX - strlen(name);
    cr_expect_eq(expand_hostname_after(length, &size, &diagnostics), 0);
    cr_expect_eq(size, GREETING_SIZE_MAX);
    cr_expect_eq(diagnostics.n_errors, 0);
    cr_expect_eq(expand_hostname_after(length + 1, &size, &diagnostics), -EFBIG);
    cr_assert_eq(diagnostics.n_lines, 1);
    cr_expect_str_eq(diagnostics.lines[0],
                     "f:1: MessageFile=/etc/motd: must not be longer than 16777216 bytes");
    diagnostics_deinit(&diagnostics);
}
