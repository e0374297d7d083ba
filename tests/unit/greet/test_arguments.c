/* SPDX-License-Identifier: MIT */
#include "greet/arguments.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <errno.h>

#define WORDS_MAX 16

/* Parses WORDS, which end with NULL, as the arguments of the program. */
static int parse(struct arguments *arguments, const char *const *words)
{
    char *argv[WORDS_MAX + 2] = {(char *)"greet"};
    int argc = 1;

    while (*words)
        argv[argc++] = (char *)*words++;
    return arguments_parse(arguments, argc, argv);
}

#define PARSE(arguments, ...) parse(arguments, (const char *const[]){__VA_ARGS__, NULL})

Test(arguments, without_arguments_it_probes_the_default_address)
{
    struct arguments arguments;

    cr_assert_eq(parse(&arguments, (const char *const[]){NULL}), 0);
    cr_expect_eq(arguments.action, ARGUMENTS_PROBE);
    cr_expect_str_eq(arguments.address, "127.0.0.1:12345");
    cr_expect_eq(arguments.timeout_usec, 10000000);
    cr_expect_eq(arguments.expect, NULL);
}

Test(arguments, options_may_follow_the_address)
{
    struct arguments arguments;

    cr_assert_eq(
        PARSE(&arguments, "80", "-e", "x\\n", "-t", "500ms", "-q", "--explain", "-s", "10"), 0);
    cr_expect_str_eq(arguments.address, "80");
    cr_expect_str_eq(arguments.expect, "x\\n");
    cr_expect_str_eq(arguments.send, "10");
    cr_expect_eq(arguments.timeout_usec, 500000);
    cr_expect(arguments.quiet);
    cr_expect(arguments.explain);
}

Test(arguments, the_configuration_may_have_a_path_and_a_listener)
{
    struct arguments arguments;

    cr_assert_eq(PARSE(&arguments, "--expect-config"), 0);
    cr_expect(arguments.expect_config);
    cr_expect_eq(arguments.config_path, NULL);
    cr_expect_eq(arguments.listener, NULL);
    cr_expect_eq(arguments.address, NULL);
    cr_assert_eq(PARSE(&arguments, "--expect-config=c", "--listener", "motd", "80"), 0);
    cr_expect_str_eq(arguments.config_path, "c");
    cr_expect_str_eq(arguments.listener, "motd");
    cr_expect_str_eq(arguments.address, "80");
}

Test(arguments, accepts_the_options_of_a_load_run)
{
    struct arguments arguments;

    cr_assert_eq(PARSE(&arguments, "-n", "100", "-c", "20", "--rate", "50", "--send=4K",
                       "--hold=1min", "--json", "--pid=7", "--load"),
                 0);
    cr_expect_eq(arguments.action, ARGUMENTS_LOAD);
    cr_expect_eq(arguments.connections, 100);
    cr_expect_eq(arguments.concurrent, 20);
    cr_expect_eq(arguments.rate, 50);
    cr_expect_eq(arguments.send_size, 4096);
    cr_expect_eq(arguments.hold_usec, 60000000);
    cr_expect_eq(arguments.pid, 7);
    cr_expect(arguments.json);
}

Test(arguments, limits_concurrent_to_the_number_of_connections)
{
    struct arguments arguments;

    cr_assert_eq(PARSE(&arguments, "--load", "-n", "3", "-c", "20"), 0);
    cr_expect_eq(arguments.concurrent, 3);
}

Test(arguments, help_and_version_ignore_later_errors)
{
    struct arguments arguments;

    cr_assert_eq(PARSE(&arguments, "-h", "--no-such-option"), 0);
    cr_expect_eq(arguments.action, ARGUMENTS_HELP);
    cr_assert_eq(PARSE(&arguments, "--version", "--rate=0"), 0);
    cr_expect_eq(arguments.action, ARGUMENTS_VERSION);
}

static void check_refused(const char *const *words, const char *printed)
{
    struct arguments arguments = {.rate = 4711};

    cr_redirect_stderr();
    cr_expect_eq(parse(&arguments, words), -EINVAL);
    fflush(stderr);
    cr_expect_stderr_eq_str(printed);
    cr_expect_eq(arguments.rate, 4711);
}

#define REFUSED(name, error, ...)                                                                  \
    Test(arguments, refuses_##name)                                                                \
    {                                                                                              \
        check_refused((const char *const[]){__VA_ARGS__, NULL},                                    \
                      "greet: " error "\nTry 'greet --help'.\n");                                  \
    }

REFUSED(a_second_address, "81: one address is all there may be", "80", "81")
REFUSED(two_expectations, "--expect: can't be combined with --expect-file", "-e", "x",
        "--expect-file=y")
REFUSED(the_configuration_and_a_text,
        "--expect-config: can't be combined with --expect or --expect-file", "--expect-config",
        "-e", "x")
REFUSED(the_configuration_and_a_file,
        "--expect-config: can't be combined with --expect or --expect-file", "--expect-config",
        "--expect-file=y")
REFUSED(a_listener_without_the_configuration, "--listener: has no meaning without --expect-config",
        "--listener=x")
REFUSED(the_configuration_in_a_load_run, "--expect-config: has no meaning with --load", "--load",
        "--expect-config")
REFUSED(a_rate_without_load, "--rate: has no meaning without --load", "--rate=5")
REFUSED(a_number_without_load, "-n: has no meaning without --load", "-n", "5")
REFUSED(quiet_load, "--quiet: has no meaning with --load", "--load", "-q")
REFUSED(a_rate_of_zero, "--rate: needs a number from 1 to 1000000", "--load", "--rate=0")
REFUSED(too_many_at_a_time, "-c: needs a number from 1 to 1000000", "--load", "-c", "1000001")
REFUSED(a_number_with_a_sign, "-n: needs a number from 1 to 1000000000000", "--load", "-n", "-5")
REFUSED(no_process, "--pid: needs a number from 1 to 2147483647", "--load", "--pid=x")
REFUSED(no_time_at_all, "--timeout: needs a span of time such as 500ms or 1min 30s", "-t", "0")
REFUSED(another_unit, "--hold: needs a span of time such as 500ms or 1min 30s", "--load",
        "--hold=5x")
REFUSED(text_to_send_in_a_load_run,
        "--send: with --load it needs a number of bytes such as 4096 or 4K", "--load", "-s", "GET")
REFUSED(endless_bytes_to_send, "--send: with --load it needs a number of bytes such as 4096 or 4K",
        "--load", "--send=infinity")
