/* SPDX-License-Identifier: MIT */
#include "greetd/cli/options.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <criterion/redirect.h>
#include <stdio.h>
#include <string.h>

#include "greetd/base/cleanup.h"

#define WORDS_MAX 8

static const struct option table[] = {
    {"config", required_argument, NULL, 'c'},
    {"check", no_argument, NULL, 1000},
    {"expect", required_argument, NULL, 'e'},
    {"expect-config", optional_argument, NULL, 1001},
    {"listen", required_argument, NULL, 'l'},
    {"quiet", no_argument, NULL, 'q'},
    {0},
};

/* Reads options up to the first that is 0 or an error, and returns it. LINE has words between
 * single spaces, and is changed. */
static int read_line(char *line, int *ret_index)
{
    char name[] = "-sh", *argv[WORDS_MAX + 2] = {name};
    int argc = 1, option;

    for (char *word = strsep(&line, " "); word; word = strsep(&line, " "))
        argv[argc++] = word;
    optind = 0;
    do
        option = options_next("program", argc, argv, ":c:e:l:q", table);
    while (option != -1 && option != '?');
    *ret_index = optind;
    return option;
}

/* Criterion copies a row into the process of its test, but not the memory a pointer points to. */
struct wrong_row {
    char line[64], error[96];
};

ParameterizedTestParameters(options, an_error_names_the_option)
{
    static struct wrong_row rows[] = {
        {"--lisen", "unknown option '--lisen'; did you mean '--listen'?"},
        {"--lisen=80", "unknown option '--lisen'; did you mean '--listen'?"},
        {"--LISTEN=80", "unknown option '--LISTEN'; did you mean '--listen'?"},
        {"--lisetn", "unknown option '--lisetn'; did you mean '--listen'?"},
        {"--hcekc", "unknown option '--hcekc'"},
        {"--qiuet", "unknown option '--qiuet'; did you mean '--quiet'?"},
        {"--nonsense", "unknown option '--nonsense'"},
        {"---check", "unknown option '---check'; did you mean '--check'?"},
        {"--=80", "unknown option '--'"},
        {"--a\033[31m", "unknown option '--a\\x1b[31m'"},
        {"-x", "unknown option '-x'"},
        {"-\xff", "unknown option '-\\xff'"},
        {"-qx", "unknown option '-x'"},
        {"-qxq", "unknown option '-x'"},
        {"-q -xq", "unknown option '-x'"},
        {"80 -q - -qx", "unknown option '-x'"},
        {"- -xq", "unknown option '-x'"},
        {"80 -xsy", "unknown option '-x'"},
        {"-quit", "unknown option '-quit'; did you mean '--quiet'?"},
        {"-quiet", "unknown option '-quiet'; did you mean '--quiet'?"},
        {"80 -quiet", "unknown option '-quiet'; did you mean '--quiet'?"},
        {"-listen", "unknown option '-listen'; did you mean '--listen'?"},
        {"-q -listen=80", "unknown option '-listen'; did you mean '--listen'?"},
        {"-check", "unknown option '-check'; did you mean '--check'?"},
        {"--check=80", "option '--check' takes no argument"},
        {"--chec=80", "option '--check' takes no argument"},
        {"--listen", "option '--listen' needs an argument"},
        {"--li", "option '--listen' needs an argument"},
        {"-l", "option '-l' needs an argument"},
        {"-ql", "option '-l' needs an argument"},
        {"--c", "option '--c' is ambiguous: --config, --check"},
        {"--ex=80", "option '--ex' is ambiguous: --expect, --expect-config"},
    };
    return cr_make_param_array(struct wrong_row, rows, ELEMENTSOF(rows));
}

ParameterizedTest(struct wrong_row *row, options, an_error_names_the_option)
{
    char expected[160];
    int end;

    cr_redirect_stderr();
    cr_expect_eq(read_line(row->line, &end), '?');
    fflush(stderr);
    snprintf(expected, sizeof(expected), "program: %s\nTry 'program --help'.\n", row->error);
    cr_expect_stderr_eq_str(expected);
}

struct right_row {
    char line[64];
    int end;
};

ParameterizedTestParameters(options, what_getopt_accepts_is_no_error)
{
    static struct right_row rows[] = {
        {"--check --expect=a --expect-config --expect-c=b", 5},
        {"-q -c file -lisen -e text", 7},
        {"-c heck -check2 -chec", 5},
        {"-qlisten", 2},
        {"-l -check", 3},
        {"--listen -check", 3},
        {"80 -q -l 81", 4},
        {"-q -- -check", 3},
    };
    return cr_make_param_array(struct right_row, rows, ELEMENTSOF(rows));
}

ParameterizedTest(struct right_row *row, options, what_getopt_accepts_is_no_error)
{
    int end;

    cr_redirect_stderr();
    cr_expect_eq(read_line(row->line, &end), -1);
    cr_expect_eq(end, row->end);
    fflush(stderr);
    cr_expect_stderr_eq_str("");
}

Test(options, a_long_unknown_option_is_cut_short)
{
    char line[200] = "--", expected[160] = "program: unknown option '--";
    int end;

    memset(line + 2, 'x', sizeof(line) - 3);
    memset(expected + strlen(expected), 'x', 88);
    strcat(expected, "...'\nTry 'program --help'.\n");
    cr_redirect_stderr();
    cr_expect_eq(read_line(line, &end), '?');
    fflush(stderr);
    cr_expect_stderr_eq_str(expected);
}
