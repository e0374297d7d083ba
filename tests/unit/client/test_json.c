/* SPDX-License-Identifier: MIT */
#include "client/json.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static char error[JSON_ERROR_MAX];

/* Reads TEXT of SIZE bytes and takes its member `a`, if it is no error. */
static int read_size(struct json_member *member, const char *text, size_t size)
{
    *member = (struct json_member){.name = "a"};
    error[0] = '\0';
    return json_read_object(member, 1, text, size, error);
}

static int read_text(struct json_member *member, const char *text)
{
    return read_size(member, text, strlen(text));
}

/* The member `a` of TEXT has VALUE, or is not taken if that is NULL. */
static void check(const char *text, const char *value)
{
    struct json_member member;

    cr_expect_eq(read_text(&member, text), 0, "%s: %s", text, error);
    cr_expect_eq(member.taken, value != NULL, "%s", text);
    if (member.taken && value)
        cr_expect_str_eq(member.text, value, "%s", text);
}

static void refuse(const char *text, const char *why)
{
    struct json_member member;

    cr_expect_eq(read_text(&member, text), -EINVAL, "%s", text);
    cr_expect_str_eq(error, why, "%s", text);
}

Test(json, takes_a_string)
{
    check("{\"a\":\"x y\"}", "x y");
    check(" { \"b\" : 1 , \"a\"\t:\r\"x\" } ", "x");
    check("{\"a\":\"\"}", "");
    check("{\"a\":\"\u00e9\U0001f600\"}", "\u00e9\U0001f600");
}

Test(json, takes_a_number_as_it_is_written)
{
    check("{\"a\":0}", "0");
    check("{\"a\":-12}", "-12");
    check("{\"a\":18446744073709551616}", "18446744073709551616");
    check("{\"a\":1.50e+3}", "1.50e+3");
    check("{\"a\":1E-3}", "1E-3");
    check("{\"a\":2e7}", "2e7");
}

Test(json, decodes_escapes)
{
    check("{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}", "\"\\/\b\f\n\r\t");
    check("{\"a\":\"\\u0041\\u007a\\u002F\"}", "Az/");
    check("{\"\\u0061\":\"x\"}", "x");
}

Test(json, does_not_take_what_is_no_short_text)
{
    check("{}", NULL);
    check("{\"b\":\"x\"}", NULL);
    check("{\"a\":null}", NULL);
    check("{\"a\":true}", NULL);
    check("{\"a\":false}", NULL);
    check("{\"a\":[72,105,255]}", NULL);  /* bytes that are not printable */
    check("{\"a\":[\"x\",\"y\"]}", NULL); /* a field that is there twice */
    check("{\"a\":[]}", NULL);
    check("{\"a\":{}}", NULL);
    check("{\"a\":{\"a\":\"x\"}}", NULL);
    check("{\"a\":\"x\\u0000y\"}", NULL);
    check("{\"a\":\"\\u00e9\\u0041\"}", NULL);
    check("{\"a\\u0000\":\"x\"}", NULL);
}

Test(json, takes_a_value_of_up_to_63_bytes)
{
    char text[128], value[64];

    snprintf(value, sizeof(value), "%063d", 7);
    snprintf(text, sizeof(text), "{\"a\":\"%s\"}", value);
    check(text, value);
    snprintf(text, sizeof(text), "{\"a\":\"%064d\"}", 7);
    check(text, NULL);
}

Test(json, refuses_what_is_no_object)
{
    refuse("", "byte 1: not an object");
    refuse("[]", "byte 1: not an object");
    refuse("\"a\"", "byte 1: not an object");
    refuse("-- No entries --", "byte 1: not an object");
}

Test(json, refuses_an_object_that_is_not_whole)
{
    refuse("{", "byte 2: the name of a member is missing");
    refuse("{\"a", "byte 4: a string ends without a quote, or has a control character");
    refuse("{\"a\"", "byte 5: a colon is missing");
    refuse("{\"a\":", "byte 6: a value is missing");
    refuse("{\"a\":\"", "byte 7: a string ends without a quote, or has a control character");
    refuse("{\"a\":\"\\", "byte 8: unknown escape");
    refuse("{\"a\":1", "byte 7: a comma or } is missing");
    refuse("{\"a\":1,", "byte 8: the name of a member is missing");
    refuse("{\"a\":[", "byte 7: a value is missing");
    refuse("{\"a\":[1", "byte 8: a comma or ] is missing");
    refuse("{\"a\":{\"b\"", "byte 10: a colon is missing");
}

Test(json, refuses_what_is_almost_json)
{
    refuse("{\"a\":1,}", "byte 8: the name of a member is missing");
    refuse("{a:1}", "byte 2: the name of a member is missing");
    refuse("{\"a\":01}", "byte 6: a number begins with 0");
    refuse("{\"a\":-}", "byte 7: a digit is missing");
    refuse("{\"a\":1.}", "byte 8: a digit is missing");
    refuse("{\"a\":1e}", "byte 8: a digit is missing");
    refuse("{\"a\":+1}", "byte 6: a value is missing");
    refuse("{\"a\":nul}", "byte 6: a value is missing");
    refuse("{\"a\":'x'}", "byte 6: a value is missing");
    refuse("{\"a\":[1,]}", "byte 9: a value is missing");
    refuse("{\"a\":\"\\x41\"}", "byte 8: unknown escape");
    refuse("{\"a\":\"\\u12g4\"}", "byte 11: \\u needs four hexadecimal digits");
    refuse("{\"a\":\"\t\"}", "byte 7: a string ends without a quote, or has a control character");
    refuse("{\"a\":\"\xff\"}", "byte 7: not UTF-8");
    refuse("{\"a\":\"\xed\xa0\x80\"}", "byte 7: not UTF-8");
    refuse("{} {}", "byte 4: the object ends before the line");
}

Test(json, refuses_a_member_that_is_taken_twice)
{
    refuse("{\"a\":1,\"a\":\"1\"}", "byte 15: a member is there twice");
    check("{\"b\":1,\"b\":2,\"a\":3}", "3");
}

Test(json, refuses_a_zero_byte)
{
    struct json_member member;

    cr_expect_eq(read_size(&member, "{}\0{}", 5), -EINVAL);
    cr_expect_str_eq(error, "byte 3: the object ends before the line");
    cr_expect_eq(read_size(&member, "{\"a\":\"x\0y\"}", 11), -EINVAL);
}

Test(json, reads_arrays_and_objects_in_each_other_up_to_a_depth)
{
    char text[256] = "{\"a\":";
    size_t length = strlen(text);

    memset(text + length, '[', 31);
    memset(text + length + 31, ']', 31);
    text[length + 62] = '}';
    check(text, NULL);
    memset(text + length, '[', 32);
    refuse(text, "byte 37: too many arrays and objects in each other");
}
