/* SPDX-License-Identifier: MIT */
#include "greetd/config/setting_type.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "greetd/base/cleanup.h"
#include "greetd/guard/network_list.h"

static const struct setting_rule number_rule = {
    .min = 1, .max = 1024, .word = "auto", .word_value = 0, .accepts = "must be a number"};
static const struct setting_rule time_rule = {
    .min = 1000, .max = UINT64_MAX, .accepts = "must be a time"};
static const struct setting_rule path_rule = {.accepts = "must be a path"};
static const struct setting_rule any = {0};

/* Returns the output of TYPE for VALUE, which is the caller's to free(). */
static char *print(const struct setting_type *type, const struct setting_rule *rule,
                   const void *value)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);

    type->print(rule, value, "Name", "f:1", stream);
    cr_assert_eq(fclose(stream), 0);
    return text;
}

/* Criterion copies a row into the process of its test, and nothing that the row would point to. */
struct number_row {
    char text[16];
    int result;
    uint64_t number;
};

ParameterizedTestParameters(setting_type, of_a_number_holds_what_the_rule_accepts)
{
    static struct number_row rows[] = {
        {"1", 0, 1},          {"1024", 0, 1024},    {"auto", 0, 0},      {"0", -EINVAL, 7},
        {"1025", -EINVAL, 7}, {"Auto", -EINVAL, 7}, {"ten", -EINVAL, 7},
    };
    return cr_make_param_array(struct number_row, rows, ELEMENTSOF(rows));
}

ParameterizedTest(struct number_row *row, setting_type, of_a_number_holds_what_the_rule_accepts)
{
    uint64_t number = 7;
    const char *why = NULL;

    cr_expect_eq(setting_type_number.parse(&number_rule, &number, row->text, "f:1", &why),
                 row->result);
    cr_expect_eq(number, row->number);
    cr_expect_eq(why, row->result < 0 ? number_rule.accepts : NULL);
}

ParameterizedTestParameters(setting_type, of_a_time_holds_what_the_rule_accepts)
{
    static struct number_row rows[] = {
        {"1ms", 0, 1000},      {"2s", 0, 2000000},      {"infinity", 0, UINT64_MAX},
        {"999us", -EINVAL, 7}, {"0", -EINVAL, 7},       {"soon", -EINVAL, 7},
        {"-1", -EINVAL, 7},    {"600000y", -EINVAL, 7},
    };
    return cr_make_param_array(struct number_row, rows, ELEMENTSOF(rows));
}

ParameterizedTest(struct number_row *row, setting_type, of_a_time_holds_what_the_rule_accepts)
{
    uint64_t usec = 7;
    const char *why = NULL;

    cr_expect_eq(setting_type_time.parse(&time_rule, &usec, row->text, "f:1", &why), row->result);
    cr_expect_eq(usec, row->number);
    cr_expect_eq(why, row->result < 0 ? time_rule.accepts : NULL);
}

Test(setting_type, of_a_boolean_holds_yes_or_no)
{
    static const struct setting_rule rule = {.accepts = "must be yes or no"};
    const char *why = NULL;
    bool value = false;

    cr_expect_eq(setting_type_boolean.parse(&rule, &value, "on", "f:1", &why), 0);
    cr_expect(value);
    cr_expect_eq(setting_type_boolean.parse(&rule, &value, "perhaps", "f:1", &why), -EINVAL);
    cr_expect_eq(why, rule.accepts);
    cr_expect(value);

    char *text = print(&setting_type_boolean, &rule, &value);
    cr_expect_str_eq(text, "# f:1\nName=yes\n");
    free(text);
    setting_type_boolean.clear(&value);
    cr_expect_not(value);
}

static const char *const colours[] = {"red", "green", "blue", NULL};
static const struct setting_rule word_rule = {.words = colours, .accepts = "must be a colour"};

Test(setting_type, of_a_word_holds_its_index)
{
    const char *why = NULL;
    unsigned word = 0, copy = 0;

    cr_expect_eq(setting_type_word.parse(&word_rule, &word, "blue", "f:1", &why), 0);
    cr_expect_eq(word, 2);
    cr_expect_null(why);
    cr_expect_eq(setting_type_word.parse(&word_rule, &word, "Green", "f:1", &why), -EINVAL);
    cr_expect_eq(why, word_rule.accepts);
    cr_expect_eq(word, 2);

    cr_expect_eq(setting_type_word.copy(&copy, &word), 0);
    cr_expect_eq(copy, 2);
    char *text = print(&setting_type_word, &word_rule, &word);
    cr_expect_str_eq(text, "# f:1\nName=blue\n");
    free(text);
    setting_type_word.clear(&word);
    cr_expect_eq(word, 0);
}

Test(setting_type, of_a_word_has_a_nearest_word)
{
    cr_expect_str_eq(setting_type_nearest_word(&word_rule, "gren"), "green");
    cr_expect_str_eq(setting_type_nearest_word(&word_rule, "BLUE"), "blue");
    cr_expect_null(setting_type_nearest_word(&word_rule, "purple"));
    cr_expect_null(setting_type_nearest_word(&number_rule, "aut"));
}

Test(setting_type, of_a_path_holds_an_absolute_one)
{
    const char *why = NULL;
    char *path = NULL;

    cr_expect_eq(setting_type_path.parse(&path_rule, &path, "/a", "f:1", &why), 0);
    cr_expect_str_eq(path, "/a");
    cr_expect_eq(setting_type_path.parse(&path_rule, &path, "a/b", "f:1", &why), -EINVAL);
    cr_expect_eq(why, path_rule.accepts);
    cr_expect_str_eq(path, "/a");
    cr_expect_eq(setting_type_path.parse(&path_rule, &path, "/b", "f:1", &why), 0);
    cr_expect_str_eq(path, "/b");

    setting_type_path.clear(&path);
    cr_expect_null(path);
}

Test(setting_type, of_addresses_is_appended_to_and_emptied)
{
    struct address_list list = {0};
    const char *why = NULL;

    cr_expect_eq(setting_type_addresses.parse(&any, &list, "80", "f:1", &why), 0);
    cr_expect_eq(setting_type_addresses.parse(&any, &list, "nowhere", "f:2", &why), -EINVAL);
    cr_expect_not_null(why);
    cr_expect_eq(setting_type_addresses.parse(&any, &list, "/a", NULL, &why), 0);
    cr_assert_eq(list.n, 2);
    cr_expect_str_eq(list.texts[0], "80");
    cr_expect_str_eq(list.origins[0], "f:1");
    cr_expect_eq(list.addresses[0].sa.sa_family, AF_INET6);
    cr_expect_str_eq(list.texts[1], "/a");
    cr_expect_null(list.origins[1]);
    cr_expect_eq(list.addresses[1].sa.sa_family, AF_UNIX);

    cr_expect_eq(setting_type_addresses.parse(&any, &list, "", "f:3", &why), 0);
    cr_expect_eq(list.n, 0);
    setting_type_addresses.clear(&list);
}

Test(setting_type, of_a_string_is_copied_unless_it_is_empty)
{
    const char *text = "text";
    char *copy = NULL, *none = NULL;

    cr_expect_eq(setting_type_message.copy(&copy, &none), 0);
    cr_expect_null(copy);
    cr_expect_eq(setting_type_message.copy(&copy, &text), 0);
    cr_expect_str_eq(copy, text);
    cr_expect_neq(copy, text);
    setting_type_message.clear(&copy);
}

Test(setting_type, is_printed_below_its_origin)
{
    const uint64_t number = 12, word = 0, usec = 90000000;
    const char *message = "", *path = "/a b";
    const struct {
        const struct setting_type *type;
        const struct setting_rule *rule;
        const void *value;
        const char *expected;
    } rows[] = {
        {&setting_type_number, &number_rule, &number, "# f:1\nName=12\n"},
        {&setting_type_number, &number_rule, &word, "# f:1\nName=auto\n"},
        {&setting_type_number, &any, &word, "# f:1\nName=0\n"},
        {&setting_type_time, &time_rule, &usec, "# f:1\nName=1min 30s\n"},
        {&setting_type_message, &any, &message, "# f:1\nName=\n"},
        {&setting_type_path, &any, &path, "# f:1\nName=/a b\n"},
    };

    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        _cleanup_free_ char *text = print(rows[i].type, rows[i].rule, rows[i].value);
        cr_expect_str_eq(text, rows[i].expected);
    }
}

Test(setting_type, is_not_printed_if_it_holds_nothing)
{
    char *none = NULL;
    _cleanup_free_ char *message = print(&setting_type_message, &any, &none);
    _cleanup_free_ char *path = print(&setting_type_path, &any, &none);

    cr_expect_str_eq(message, "");
    cr_expect_str_eq(path, "");
}

Test(setting_type, of_addresses_is_printed_one_by_one)
{
    struct address_list list = {0};
    const char *why;
    _cleanup_free_ char *empty = print(&setting_type_addresses, &any, &list);
    cr_expect_str_eq(empty, "# f:1\nName=\n");

    cr_assert_eq(setting_type_addresses.parse(&any, &list, "80", "f:7", &why), 0);
    cr_assert_eq(setting_type_addresses.parse(&any, &list, "@a b", NULL, &why), 0);
    _cleanup_free_ char *text = print(&setting_type_addresses, &any, &list);
    cr_expect_str_eq(text, "# f:7\nName=80\n# default\nName=@a b\n");
    setting_type_addresses.clear(&list);
}

/* A newline in a path must not begin a new line of the configuration. */
Test(setting_type, is_printed_below_an_origin_without_newlines)
{
    const uint64_t number = 1;
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);

    setting_type_number.print(&any, &number, "Name", "/a\n[b]\r:1", stream);
    cr_assert_eq(fclose(stream), 0);
    cr_expect_str_eq(text, "# /a?[b]?:1\nName=1\n");
    free(text);
}

struct message_row {
    char text[32], printed[48];
};

ParameterizedTestParameters(setting_type, of_a_message_is_printed_without_loss)
{
    static struct message_row rows[] = {
        {"Hello\\n", "Hello\\n"},
        {"a  b\tc", "a  b\tc"},
        {" a ", "\\x20a\\x20"},
        {"\ta\t", "\\x09a\\x09"},
        {" ", "\\x20"},
        {"  ", "\\x20\\x20"},
        {"a\nb\n", "a\\x0ab\\x0a"},
        {"a\rb\r", "a\\x0db\\x0d"},
        {"a\\\\", "a\\\\"},
        {"a\\\\\n", "a\\\\\\x0a"},
        {"#a", "#a"},
        {"; a", "; a"},
        {"[a]", "[a]"},
        {"=a", "=a"},
        {"\"a\"", "\"a\""},
    };
    return cr_make_param_array(struct message_row, rows, ELEMENTSOF(rows));
}

ParameterizedTest(struct message_row *row, setting_type, of_a_message_is_printed_without_loss)
{
    const char *message = row->text;
    char expected[80];
    _cleanup_free_ char *text = print(&setting_type_message, &any, &message);

    snprintf(expected, sizeof(expected), "# f:1\nName=%s\n", row->printed);
    cr_expect_str_eq(text, expected);
}

Test(setting_type, of_networks_is_appended_to_copied_and_printed)
{
    struct network_list list = {0}, copy = {0};
    const char *why;
    _cleanup_free_ char *empty = print(&setting_type_networks, &any, &list);
    cr_expect_str_eq(empty, "");

    cr_assert_eq(setting_type_networks.parse(&any, &list, "any  10.0.0.0/8", "f:7", &why), 0);
    cr_assert_eq(setting_type_networks.parse(&any, &list, "/a\\", "f:8", &why), 0);
    cr_assert_eq(setting_type_networks.copy(&copy, &list), 0);
    setting_type_networks.clear(&list);
    cr_expect_eq(list.n, 0);

    /* A backslash at the end of a line would join the next line to it. */
    _cleanup_free_ char *text = print(&setting_type_networks, &any, &copy);
    cr_expect_str_eq(text, "# f:7\nName=any\n# f:7\nName=10.0.0.0/8\n# f:8\nName=/a\\ \n");
    setting_type_networks.clear(&copy);
}
