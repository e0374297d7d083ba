/* SPDX-License-Identifier: MIT */
#include "greetd/greeting/greeting.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <string.h>

#include "greetd/base/diagnostics.h"
#include "support/temp_dir.h"

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
        {"\\\xc3\xa4 q", 0, "f:1: Message=: bad escape \\\xc3\xa4 at byte 1" ESCAPES},
        {"\\\t", 0, "f:1: Message=: bad escape \\\\x09 at byte 1" ESCAPES},
        {"\\x", 0, "f:1: Message=: bad escape \\x at byte 1" DIGITS},
        {"\\x4", 0, "f:1: Message=: bad escape \\x4 at byte 1" DIGITS},
        {"\\x4g", 0, "f:1: Message=: bad escape \\x4g at byte 1" DIGITS},
        {"a \\xg4 b", 2, "f:1: Message=: bad escape \\xg4 at byte 3" DIGITS},
    };
    return cr_make_param_array(struct mistake_row, rows, ELEMENTSOF(rows));
}

ParameterizedTest(struct mistake_row *row, greeting, names_a_bad_escape_and_where_it_is)
{
    struct diagnostics diagnostics = DIAGNOSTICS_NULL;
    struct greeting *greeting = NULL;
    const char *why = NULL;
    size_t offset = 99;

    cr_expect_eq(greeting_new_from_text(&greeting, row->text, &why, &offset), -EINVAL);
    cr_expect_null(greeting);
    cr_expect_not_null(why);
    cr_expect_eq(offset, row->offset);

    cr_expect_eq(greeting_check_text(row->text, "f:1", "Message", &diagnostics), -EINVAL);
    cr_assert_eq(diagnostics.n_lines, 1);
    cr_expect_str_eq(diagnostics.lines[0], row->mistake);
    diagnostics_deinit(&diagnostics);
}

Test(greeting, finds_nothing_to_report_in_a_good_message)
{
    struct diagnostics diagnostics = DIAGNOSTICS_NULL;

    cr_expect_eq(greeting_check_text("Hello\\n", "f:1", "Message", &diagnostics), 0);
    cr_expect_eq(diagnostics.n_errors, 0);
    diagnostics_deinit(&diagnostics);
}

Test(greeting, may_be_16_MiB_long_and_no_longer)
{
    _cleanup_(greeting_freep) struct greeting *greeting = NULL;
    struct diagnostics diagnostics = DIAGNOSTICS_NULL;
    _cleanup_free_ char *text = malloc(GREETING_SIZE_MAX + 8);
    const char *why;
    size_t offset;

    /* Its last byte is written with four characters: what counts is what is sent. */
    memset(text, 'a', GREETING_SIZE_MAX);
    strcpy(text + GREETING_SIZE_MAX - 1, "\\x0a");
    cr_assert_eq(greeting_new_from_text(&greeting, text, &why, &offset), 0);
    cr_expect_eq(greeting->size, GREETING_SIZE_MAX);

    strcpy(text + GREETING_SIZE_MAX - 1, "\\x0aa");
    cr_expect_eq(greeting_check_text(text, "f:1", "Message", &diagnostics), -EFBIG);
    cr_assert_eq(diagnostics.n_lines, 1);
    cr_expect_str_eq(diagnostics.lines[0], "f:1: Message=: must not be longer than 16777216 bytes");
    diagnostics_deinit(&diagnostics);
}

Test(greeting, is_freed_if_there_is_one)
{
    greeting_free(NULL);
}

/* Writes GREETING as it was compiled: the names of its variables between < and >. */
static void expect_pieces(const struct greeting *greeting, const char *pieces)
{
    char text[256] = "";
    size_t n = 0, literal = 0;

    for (size_t i = 0; i < greeting->n_pieces; i++) {
        const struct greeting_piece *piece = &greeting->pieces[i];
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%.*s%s%s%s", (int)piece->size,
                              greeting->bytes + literal, piece->variable ? "<" : "",
                              piece->variable ? piece->variable->name : "",
                              piece->variable ? ">" : "");
        literal += piece->size;
        cr_expect(piece->variable || i + 1 == greeting->n_pieces);
    }
    if (!greeting->pieces)
        snprintf(text, sizeof(text), "%.*s", (int)greeting->size, greeting->bytes);
    else
        cr_expect_eq(literal, greeting->size);
    cr_expect_str_eq(text, pieces);
}

struct template_row {
    char text[64];
    char pieces[80];
    bool constant; /* nothing is left to be filled in */
};

ParameterizedTestParameters(greeting, is_compiled_with_its_variables)
{
    static struct template_row rows[] = {
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
    };
    return cr_make_param_array(struct template_row, rows, ELEMENTSOF(rows));
}

ParameterizedTest(struct template_row *row, greeting, is_compiled_with_its_variables)
{
    _cleanup_(greeting_freep) struct greeting *greeting = NULL;
    struct diagnostics diagnostics = DIAGNOSTICS_NULL;

    cr_assert_eq(greeting_new_from_template(&greeting, row->text, "f:1", "Message", &diagnostics),
                 0);
    cr_expect_eq(diagnostics.n_errors, 0);
    cr_expect_eq(greeting->pieces == NULL, row->constant, "%s", row->text);
    expect_pieces(greeting, row->pieces);
    diagnostics_deinit(&diagnostics);
}

Test(greeting, holds_the_name_of_the_host_once_it_is_compiled)
{
    _cleanup_(greeting_freep) struct greeting *greeting = NULL;
    struct diagnostics diagnostics = DIAGNOSTICS_NULL;
    char name[256], expected[600];

    cr_assert_eq(gethostname(name, sizeof(name)), 0);
    snprintf(expected, sizeof(expected), "%s,%s!", name, name);
    cr_assert_eq(greeting_new_from_template(&greeting, "$hostname,${hostname}!", "f:1", "Message",
                                            &diagnostics),
                 0);
    cr_expect_null(greeting->pieces);
    cr_expect_eq(greeting->size, strlen(expected));
    cr_expect_arr_eq(greeting->bytes, expected, strlen(expected));
}

Test(greeting, is_compiled_with_more_variables_than_there_was_room_for_at_first)
{
    _cleanup_(greeting_freep) struct greeting *greeting = NULL;
    struct diagnostics diagnostics = DIAGNOSTICS_NULL;
    char text[sizeof("$connection,") * 1000] = "";

    for (size_t i = 0; i < 1000; i++)
        strcpy(text + i * strlen("$connection,"), "$connection,");
    cr_assert_eq(greeting_new_from_template(&greeting, text, "f:1", "Message", &diagnostics), 0);
    cr_assert_eq(greeting->n_pieces, 1001);
    cr_expect_eq(greeting->size, 1000);
    for (size_t i = 0; i < 1000; i++)
        cr_assert_eq(greeting->pieces[i].size, i > 0);
}

ParameterizedTestParameters(greeting, names_a_bad_variable_and_where_it_is)
{
#define BRACES "; ${ must be followed by the name of a variable and }"
#define LONE   "; a $ that no name follows is written as $$"
    static struct mistake_row rows[] = {
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
    };
    return cr_make_param_array(struct mistake_row, rows, ELEMENTSOF(rows));
}

ParameterizedTest(struct mistake_row *row, greeting, names_a_bad_variable_and_where_it_is)
{
    struct diagnostics diagnostics = DIAGNOSTICS_NULL;
    struct greeting *greeting = NULL;

    cr_expect_eq(greeting_new_from_template(&greeting, row->text, "f:1", "Message", &diagnostics),
                 -EINVAL);
    cr_expect_null(greeting);
    cr_assert_eq(diagnostics.n_lines, 1);
    cr_expect_str_eq(diagnostics.lines[0], row->mistake);
    diagnostics_deinit(&diagnostics);
}

Test(greeting, names_a_bad_variable_however_long_it_is)
{
    struct diagnostics diagnostics = DIAGNOSTICS_NULL;
    struct greeting *greeting = NULL;
    char text[10000] = "$";

    memset(text + 1, 'a', sizeof(text) - 2);
    cr_expect_eq(greeting_new_from_template(&greeting, text, "f:1", "Message", &diagnostics),
                 -EINVAL);
    cr_assert_eq(diagnostics.n_lines, 1);
    cr_expect_eq(strncmp(diagnostics.lines[0], "f:1: Message=: unknown variable $aaaa", 37), 0);
    diagnostics_deinit(&diagnostics);
}

static struct temp_dir temp_dir;

static void set_up(void)
{
    temp_dir_init(&temp_dir);
}

static void tear_down(void)
{
    temp_dir_deinit(&temp_dir);
}

TestSuite(greeting_file, .init = set_up, .fini = tear_down);

Test(greeting_file, is_sent_byte_for_byte)
{
    static const char bytes[] = "\xef\xbb\xbf$a\\n\0 \r\n";
    _cleanup_(greeting_freep) struct greeting *greeting = NULL;
    const char *path = temp_dir_write(&temp_dir, "a", bytes, sizeof(bytes));

    cr_assert_eq(greeting_new_from_file(&greeting, path), 0);
    cr_assert_eq(greeting->size, sizeof(bytes));
    cr_expect_eq(memcmp(greeting->bytes, bytes, sizeof(bytes)), 0);
}

Test(greeting_file, has_variables_if_it_is_expanded_but_no_escapes)
{
    static const char bytes[] = "a\\n\0$connection$$\\q";
    _cleanup_(greeting_freep) struct greeting *greeting = NULL;
    struct diagnostics diagnostics = DIAGNOSTICS_NULL;

    cr_assert_eq(
        greeting_new_from_file(&greeting, temp_dir_write(&temp_dir, "a", bytes, sizeof(bytes) - 1)),
        0);
    cr_assert_eq(greeting_expand(&greeting, "/etc/motd", "f:1", "MessageFile", &diagnostics), 0);
    cr_assert_eq(greeting->n_pieces, 2);
    cr_expect_eq(greeting->pieces[0].size, 4);
    cr_expect_str_eq(greeting->pieces[0].variable->name, "connection");
    cr_expect_null(greeting->pieces[1].variable);
    cr_assert_eq(greeting->size, 7);
    cr_expect_arr_eq(greeting->bytes, "a\\n\0$\\q", 7);
}

Test(greeting_file, stays_as_it_is_if_it_has_a_bad_variable)
{
    _cleanup_(greeting_freep) struct greeting *greeting = NULL;
    struct diagnostics diagnostics = DIAGNOSTICS_NULL;

    cr_assert_eq(greeting_new_from_file(&greeting, temp_dir_write_text(&temp_dir, "a", "$hostnam")),
                 0);
    cr_expect_eq(greeting_expand(&greeting, "/etc/motd", "f:1", "MessageFile", &diagnostics),
                 -EINVAL);
    cr_assert_eq(diagnostics.n_lines, 1);
    cr_expect_str_eq(diagnostics.lines[0],
                     "f:1: MessageFile=/etc/motd:1: unknown variable $hostnam at "
                     "byte 1; did you mean $hostname?");
    cr_expect_eq(greeting->size, 8);
    diagnostics_deinit(&diagnostics);
}

/* Its last byte is one of $hostname, and what is behind it need not fit. */
Test(greeting_file, may_be_16_MiB_long_when_it_is_expanded_and_no_longer)
{
    _cleanup_(greeting_freep) struct greeting *greeting = NULL;
    struct diagnostics diagnostics = DIAGNOSTICS_NULL;
    char name[256];

    cr_assert_eq(gethostname(name, sizeof(name)), 0);
    size_t size = GREETING_SIZE_MAX - strlen(name);
    for (size_t longer = 0; longer < 2; longer++) {
        greeting = calloc(1, sizeof(*greeting));
        greeting->size = size + longer + strlen("$hostname");
        greeting->bytes = malloc(greeting->size);
        memset(greeting->bytes, 'a', size + longer);
        memcpy(greeting->bytes + size + longer, "$hostname", strlen("$hostname"));
        cr_expect_eq(greeting_expand(&greeting, "/etc/motd", "f:1", "MessageFile", &diagnostics),
                     longer ? -EFBIG : 0);
        if (!longer) {
            cr_expect_eq(greeting->size, GREETING_SIZE_MAX);
            greeting_free(greeting);
        }
    }
    cr_assert_eq(diagnostics.n_lines, 1);
    cr_expect_str_eq(diagnostics.lines[0],
                     "f:1: MessageFile=/etc/motd: must not be longer than 16777216 bytes");
    diagnostics_deinit(&diagnostics);
}

Test(greeting_file, may_be_16_MiB_long_and_no_longer)
{
    _cleanup_(greeting_freep) struct greeting *greeting = NULL, *none = NULL;
    const char *path = temp_dir_write_text(&temp_dir, "a", "");

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

    cr_expect_eq(greeting_new_from_file(&none, temp_dir_path(&temp_dir, "none")), -ENOENT);
    cr_expect_eq(greeting_new_from_file(&none, temp_dir.directory), -EISDIR);
    cr_expect_eq(greeting_new_from_file(&none, "/dev/zero"), -EINVAL);
    cr_expect_null(none);
}
