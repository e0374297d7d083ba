/* SPDX-License-Identifier: MIT */
#include "greet/output.h"

#include <criterion/criterion.h>
#include <stdlib.h>

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
