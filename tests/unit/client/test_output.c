/* SPDX-License-Identifier: MIT */
#include "client/output.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <stdlib.h>
#include <string.h>

#include "support/net.h"

static void check(const char *text, const char *expected)
{
    char *written = NULL;
    size_t size;
    FILE *stream = open_memstream(&written, &size);

    output_json_string(stream, text);
    fclose(stream);
    cr_expect_str_eq(written, expected);
    free(written);
}

Test(json, plain_text_stays_as_it_is)
{
    check("", "\"\"");
    check("127.0.0.1:12345 [::1]:80 /run/x", "\"127.0.0.1:12345 [::1]:80 /run/x\"");
}

Test(json, quotes_and_backslashes_are_escaped)
{
    check("a\"b\\c", "\"a\\\"b\\\\c\"");
}

Test(json, control_characters_are_escaped)
{
    check("\x01\b\t\n\r\x1f\x7f", "\"\\u0001\\u0008\\u0009\\u000a\\u000d\\u001f\x7f\"");
}

Test(json, utf_8_stays_as_it_is)
{
    check("\u00e9\u20ac\U0001f600", "\"\u00e9\u20ac\U0001f600\"");
    check("\U0010ffff", "\"\U0010ffff\"");
}

Test(json, bytes_that_are_not_utf_8_are_replaced)
{
    check("a\xff"
          "b",
          "\"a\\ufffdb\"");
    /* Truncated characters. */
    check("\xe2\x82", "\"\\ufffd\\ufffd\"");
    check("\xc3", "\"\\ufffd\"");
    /* Overlong encodings. */
    check("\xc0\xaf", "\"\\ufffd\\ufffd\"");
    check("\xe0\x80\xaf", "\"\\ufffd\\ufffd\\ufffd\"");
    /* A surrogate, and a number beyond the last code point. */
    check("\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\"");
    check("\xf4\x90\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\"");
}

static void expect_text(const struct load_summary *summary, const char *expected)
{
    char *written = NULL;
    size_t size;
    FILE *stream = open_memstream(&written, &size);

    output_text(stream, summary);
    fclose(stream);
    cr_expect_str_eq(written, expected);
    free(written);
}

Test(output, has_what_was_interrupted_or_had_no_port)
{
    const struct address address = net_address("127.0.0.1:80");
    const struct load_result result = {.outcomes = {[OUTCOME_OK] = 3, [OUTCOME_NO_PORT] = 2},
                                       .finished = 5,
                                       .unfinished = 1,
                                       .duration_usec = 1000000,
                                       .interrupted = true};
    const struct load_summary summary = {.address = &address, .result = &result};

    expect_text(&summary, "127.0.0.1:80: 5 connections in 1.000 s, 5 per second (interrupted)\n"
                          "3 ok, 0 lost; 2 without a local port; 1 unfinished\n");
}

Test(output, has_the_processor_time_of_each_thread)
{
    const struct address address = net_address("127.0.0.1:80");
    const struct load_result result = {.outcomes = {[OUTCOME_OK] = 2}, .finished = 2};
    struct schedstat server = {.entries = NULL};
    const struct load_summary summary = {
        .address = &address, .result = &result, .pid = 7, .server = &server};
    char *written = NULL;
    size_t size;
    FILE *stream = open_memstream(&written, &size);

    cr_assert_eq(schedstat_add(&server, "main", 20), 0);
    cr_assert_eq(schedstat_add(&server, "worker", 40), 0);
    output_json(stream, &summary);
    fclose(stream);
    cr_expect_not_null(strstr(written, ",\"server\":{\"pid\":7,\"nsec\":60,"
                                       "\"nsec_per_connection\":30,"
                                       "\"threads\":{\"main\":10,\"worker\":20}}}\n"),
                       "%s", written);
    schedstat_deinit(&server);
    free(written);
}

Test(output, has_errors_for_which_there_was_no_memory, .init = cr_redirect_stderr)
{
    const struct diagnostics diagnostics = {.n_errors = 1};

    output_errors(&diagnostics);
    fflush(stderr);
    cr_assert_stderr_eq_str("greet: out of memory\n");
}

Test(output, fails_if_an_earlier_write_has_failed, .init = cr_redirect_stderr)
{
    cr_assert_not_null(freopen("/dev/full", "w", stdout));
    setvbuf(stdout, NULL, _IONBF, 0);
    cr_assert_eq(puts("x"), EOF);
    cr_expect_not(output_flush());
    fflush(stderr);
    cr_assert_stderr_eq_str("greet: Failed to write to standard output: Input/output error\n");
}
