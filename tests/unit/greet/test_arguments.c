/* SPDX-License-Identifier: MIT */
#include "greet/arguments.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <criterion/redirect.h>
#include <errno.h>

#include "greetd/base/cleanup.h"

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
                       "--hold=1min", "--json", "--pid=7", "--receipts", "f", "--load"),
                 0);
    cr_expect_eq(arguments.action, ARGUMENTS_LOAD);
    cr_expect_eq(arguments.connections, 100);
    cr_expect_eq(arguments.concurrent, 20);
    cr_expect_eq(arguments.rate, 50);
    cr_expect_eq(arguments.send_size, 4096);
    cr_expect_eq(arguments.hold_usec, 60000000);
    cr_expect_eq(arguments.pid, 7);
    cr_expect(arguments.json);
    cr_expect_str_eq(arguments.receipts, "f");
}

Test(arguments, accepts_a_file_to_reconcile)
{
    struct arguments arguments;

    cr_assert_eq(PARSE(&arguments, "--reconcile", "f", "--json"), 0);
    cr_expect_eq(arguments.action, ARGUMENTS_RECONCILE);
    cr_expect_str_eq(arguments.receipts, "f");
    cr_expect(arguments.json);
    cr_expect_null(arguments.address);
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

/* Criterion copies a row into the process of its test, but not the memory a pointer points to. */
struct proxy_row {
    char argument[48];
    enum proxy_version version;
    char source[48]; /* as peer_format() writes it */
    unsigned n_variable;
};

ParameterizedTestParameters(arguments, the_source_of_a_header_has_several_forms)
{
    static struct proxy_row rows[] = {
        {"192.0.2.1", PROXY_V2, "192.0.2.1:49152", 0},
        {"192.0.2.1:4000", PROXY_V2, "192.0.2.1:4000", 0},
        {"192.0.2.1:0", PROXY_V2, "192.0.2.1:0", 0},
        {"2001:db8::1", PROXY_V2, "[2001:db8::1]:49152", 0},
        {"::1", PROXY_V2, "[::1]:49152", 0},
        {"[2001:db8::1]:4000", PROXY_V2, "[2001:db8::1]:4000", 0},
        {"::ffff:192.0.2.1", PROXY_V2, "192.0.2.1:49152", 0},
        {"v1:192.0.2.1", PROXY_V1, "192.0.2.1:49152", 0},
        {"v1:2001:db8::1", PROXY_V1, "[2001:db8::1]:49152", 0},
        {"v1:[2001:db8::1]:4000", PROXY_V1, "[2001:db8::1]:4000", 0},
        {"unix", PROXY_V2, "unix", 0},
        {"v1:unix", PROXY_V1, "unix", 0},
        {"local", PROXY_V2, "unknown", 0},
        {"v1:local", PROXY_V1, "unknown", 0},
        {"192.0.2.0/24", PROXY_V2, "192.0.2.0:49152", 8},
        {"v1:192.0.2.1/32", PROXY_V1, "192.0.2.1:49152", 0},
        {"0.0.0.0/0", PROXY_V2, "0.0.0.0:49152", 32},
        {"2001:db8::/32", PROXY_V2, "[2001:db8::]:49152", 96},
        {"::/0", PROXY_V2, "[::]:49152", 128},
    };
    return cr_make_param_array(struct proxy_row, rows, ELEMENTSOF(rows));
}

ParameterizedTest(struct proxy_row *row, arguments, the_source_of_a_header_has_several_forms)
{
    struct arguments arguments;
    char source[ADDRESS_TEXT_MAX];

    cr_assert_eq(PARSE(&arguments, "--load", "--proxy", row->argument), 0);
    cr_expect_eq(arguments.proxy.version, row->version);
    cr_expect_str_eq(peer_format(&arguments.proxy.source, source), row->source);
    cr_expect_eq(arguments.proxy.n_variable, row->n_variable);
}

Test(arguments, without_proxy_there_is_no_header)
{
    struct arguments arguments;

    cr_assert_eq(PARSE(&arguments, "80"), 0);
    cr_expect_eq(arguments.proxy.version, PROXY_NONE);
    cr_expect_eq(arguments.proxy.source.family, AF_UNSPEC);
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

Test(arguments, refuses_other_sources_of_a_header)
{
    static const char *const sources[] = {
        "",
        "v1:",
        "v2:192.0.2.1",
        "80",
        "localhost",
        "localhost:80",
        "192.0.2",
        "192.0.2.01",
        "192.0.2.1:",
        "192.0.2.1:65536",
        "[::1]",
        "::1:",
        "2001:db8::1:g",
        "[2001:db8::1%lo]:80",
        "[fe80::1%1]:80",
        "[fe80::1%lo]:80",
        "/run/socket",
        "@abstract",
        "vsock:3:80",
        "Unix",
        "unix/8",
        "local/8",
        "192.0.2.0/33",
        "192.0.2.0/",
        "192.0.2.0/-1",
        "192.0.2.0/8x",
        "2001:db8::/129",
        "::ffff:0:0/96",
        "2001:db8:2001:db8:2001:db8:2001:db8:2001:db8:2001:db8:2001:db8:2001:db8:2001:db8:2001:1",
    };

    for (size_t i = 0; i < ELEMENTSOF(sources); i++) {
        struct arguments arguments;
        cr_redirect_stderr();
        cr_expect_eq(PARSE(&arguments, "--load", "--proxy", sources[i]), -EINVAL, "%s", sources[i]);
    }
}

#define REFUSED(name, error, ...)                                                                  \
    Test(arguments, refuses_##name)                                                                \
    {                                                                                              \
        check_refused((const char *const[]){__VA_ARGS__, NULL},                                    \
                      "greet: " error "\nTry 'greet --help'.\n");                                  \
    }

REFUSED(a_misspelled_option, "unknown option '--lod'; did you mean '--load'?", "--lod")
REFUSED(a_single_dash, "unknown option '-send'; did you mean '--send'?", "-send")
REFUSED(an_abbreviation_of_several, "option '--re' is ambiguous: --receipts, --reconcile", "--re")
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
REFUSED(a_name_as_the_source_of_a_header,
        "--proxy: needs IPv4, IPv4:PORT, IPv6, [IPv6]:PORT, unix or local; with --load also a "
        "network such as 192.0.2.0/24",
        "--proxy=localhost")
REFUSED(a_network_for_one_greeting, "--proxy: a network has no meaning without --load",
        "--proxy=192.0.2.0/24")
REFUSED(a_rate_without_load, "--rate: has no meaning without --load", "--rate=5")
REFUSED(a_number_without_load, "-n: has no meaning without --load", "-n", "5")
REFUSED(figures_without_load, "--json: has no meaning without --load or --reconcile", "--json")
REFUSED(receipts_without_load, "--receipts: has no meaning without --load", "--receipts=f")
REFUSED(receipts_while_reconciling, "--receipts: has no meaning with --reconcile", "--reconcile=f",
        "--receipts=g")
REFUSED(a_load_while_reconciling, "--load: has no meaning with --reconcile", "--load",
        "--reconcile=f")
REFUSED(reconciling_in_a_load_run, "--reconcile: has no meaning with --load", "--reconcile=f",
        "--load")
REFUSED(a_timeout_while_reconciling, "--timeout: has no meaning with --reconcile", "--reconcile=f",
        "--timeout=1s")
REFUSED(an_address_while_reconciling, "127.0.0.1:79: an address has no meaning with --reconcile",
        "--reconcile=f", "127.0.0.1:79")
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
