/* SPDX-License-Identifier: MIT */
#include "greetd/config/section.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <string.h>

#include "greetd/base/cleanup.h"

/* Criterion copies a row into the process of its test, and nothing that the row would point to. */
struct row {
    char text[64];
    enum section_kind kind;
    char name[64];
};

ParameterizedTestParameters(section, has_a_kind_and_a_name)
{
    static struct row rows[] = {
        {"Server", SECTION_SERVER, ""},
        {"Greeting", SECTION_GREETING, ""},
        {"Listener web", SECTION_LISTENER, "web"},
        {"Listener \t web", SECTION_LISTENER, "web"},
        {"Listener a b=c]#/\\", SECTION_LISTENER, "a b=c]#/\\"},
        {"Listener server", SECTION_LISTENER, "server"},
    };
    return cr_make_param_array(struct row, rows, ELEMENTSOF(rows));
}

ParameterizedTest(struct row *row, section, has_a_kind_and_a_name)
{
    struct diagnostics diagnostics = DIAGNOSTICS_NULL;
    enum section_kind kind;
    const char *name = "";

    cr_assert_eq(section_parse(&kind, &name, row->text, "f:1", &diagnostics), 0);
    cr_expect_eq(kind, row->kind);
    cr_expect_str_eq(name ? name : "", row->name);
    cr_expect_eq(name == NULL, kind != SECTION_LISTENER);
    cr_expect_eq(diagnostics.n_errors, 0);
}

struct error_row {
    char text[32];
    char error[96];
};

ParameterizedTestParameters(section, is_suggested_for_one_that_is_unknown)
{
    static struct error_row rows[] = {
        {"Sever", "f:1: Unknown section [Sever]; did you mean [Server]?"},
        {"server", "f:1: Unknown section [server]; did you mean [Server]?"},
        {" Server", "f:1: Unknown section [ Server]; did you mean [Server]?"},
        {"Server ", "f:1: Unknown section [Server ]; did you mean [Server]?"},
        {"Server web", "f:1: Unknown section [Server web]; did you mean [Server]?"},
        {"greetings", "f:1: Unknown section [greetings]; did you mean [Greeting]?"},
        {"Listner web", "f:1: Unknown section [Listner web]; did you mean [Listener web]?"},
        {"listener", "f:1: Unknown section [listener]; did you mean [Listener NAME]?"},
        {"listener a:b", "f:1: Unknown section [listener a:b]; did you mean [Listener NAME]?"},
        {"Socket", "f:1: Unknown section [Socket]"},
        {" ", "f:1: Unknown section [ ]"},
        {"a\tb\n", "f:1: Unknown section [a\\x09b\\x0a]"},
    };
    return cr_make_param_array(struct error_row, rows, ELEMENTSOF(rows));
}

static void expect_error(const char *text, const char *error)
{
    struct diagnostics diagnostics = DIAGNOSTICS_NULL;
    enum section_kind kind;
    const char *name;

    cr_expect_eq(section_parse(&kind, &name, text, "f:1", &diagnostics), -EINVAL, "%s", text);
    cr_assert_eq(diagnostics.n_lines, 1);
    cr_expect_eq(strncmp(diagnostics.lines[0], error, strlen(error)), 0, "%s",
                 diagnostics.lines[0]);
    diagnostics_deinit(&diagnostics);
}

ParameterizedTest(struct error_row *row, section, is_suggested_for_one_that_is_unknown)
{
    expect_error(row->text, row->error);
}

Test(section, needs_a_name_that_systemd_accepts)
{
    expect_error("Listener", "f:1: [Listener] must have a name, as in [Listener NAME]");
    expect_error("Listener ", "f:1: [Listener ] must have a name");
    expect_error("Listener a:b", "f:1: [Listener a:b] must have a name");
    expect_error("Listener \xc3\xa4", "f:1: [Listener \xc3\xa4] must have a name");
    expect_error("Listener a\x7f", "f:1: [Listener a\\x7f] must have a name");
    expect_error("Listener a\tb", "f:1: [Listener a\\x09b] must have a name");
    expect_error("Listener a ", "f:1: [Listener a ] must have a name");
}

Test(section, may_have_a_name_of_255_characters_and_no_longer)
{
    char text[300] = "Listener ", formatted[SECTION_TEXT_MAX], *name_in_text = text + strlen(text);
    struct diagnostics diagnostics = DIAGNOSTICS_NULL;
    enum section_kind kind;
    const char *name;

    memset(name_in_text, 'a', SECTION_NAME_MAX);
    cr_assert_eq(section_parse(&kind, &name, text, "f:1", &diagnostics), 0);
    cr_expect_eq(name, name_in_text);
    section_format(kind, name, formatted);
    cr_expect_eq(strlen(formatted), sizeof(formatted) - 1);

    name_in_text[SECTION_NAME_MAX] = 'a';
    expect_error(text, "f:1: [Listener aaa");
}

Test(section, may_be_long_and_unknown)
{
    char text[1000] = "";

    memset(text, 'S', sizeof(text) - 1);
    expect_error(text, "f:1: Unknown section [SSS");
}

Test(section, is_formatted_as_its_header)
{
    char text[SECTION_TEXT_MAX];

    cr_expect_str_eq(section_format(SECTION_SERVER, NULL, text), "[Server]");
    cr_expect_str_eq(section_format(SECTION_GREETING, NULL, text), "[Greeting]");
    cr_expect_str_eq(section_format(SECTION_LISTENER, "web", text), "[Listener web]");
    cr_expect_str_eq(section_format(SECTION_LISTENER, NULL, text), "[Listener NAME]");
}
