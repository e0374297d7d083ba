/* SPDX-License-Identifier: MIT */
#include "greet/arguments.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "client/output.h"
#include "greet/proxy_argument.h"
#include "greetd/base/cleanup.h"
#include "greetd/base/parse.h"
#include "greetd/cli/options.h"
#include "greetd/greeting/template.h"

#define TIMEOUT_USEC_DEFAULT 10000000
#define CONNECTIONS_DEFAULT  1000
#define CONCURRENT_DEFAULT   10

#define CONNECTIONS_MAX UINT64_C(1000000000000)
#define CONCURRENT_MAX  UINT64_C(1000000)
#define RATE_MAX        UINT64_C(1000000)

/* Options without a letter. */
enum {
    OPTION_EXPECT_FILE = UCHAR_MAX + 1,
    OPTION_EXPECT_CONFIG,
    OPTION_LISTENER,
    OPTION_PROXY,
    OPTION_EXPLAIN,
    OPTION_LOAD,
    OPTION_RATE,
    OPTION_HOLD,
    OPTION_JSON,
    OPTION_PID,
    OPTION_RECEIPTS,
    OPTION_RECONCILE,
    OPTION_VERSION,
};

static const struct option options[] = {
    {"expect", required_argument, NULL, 'e'},
    {"expect-file", required_argument, NULL, OPTION_EXPECT_FILE},
    {"expect-config", optional_argument, NULL, OPTION_EXPECT_CONFIG},
    {"listener", required_argument, NULL, OPTION_LISTENER},
    {"timeout", required_argument, NULL, 't'},
    {"send", required_argument, NULL, 's'},
    {"proxy", required_argument, NULL, OPTION_PROXY},
    {"quiet", no_argument, NULL, 'q'},
    {"explain", no_argument, NULL, OPTION_EXPLAIN},
    {"load", no_argument, NULL, OPTION_LOAD},
    {"connections", required_argument, NULL, 'n'},
    {"concurrent", required_argument, NULL, 'c'},
    {"rate", required_argument, NULL, OPTION_RATE},
    {"hold", required_argument, NULL, OPTION_HOLD},
    {"json", no_argument, NULL, OPTION_JSON},
    {"pid", required_argument, NULL, OPTION_PID},
    {"receipts", required_argument, NULL, OPTION_RECEIPTS},
    {"reconcile", required_argument, NULL, OPTION_RECONCILE},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, OPTION_VERSION},
    {0},
};

#define IN_PROBE     (1U << ARGUMENTS_PROBE)
#define IN_LOAD      (1U << ARGUMENTS_LOAD)
#define IN_RECONCILE (1U << ARGUMENTS_RECONCILE)

/* The modes in which an option has a meaning. */
static const struct {
    int option;
    const char *name;
    unsigned modes;
} mode_options[] = {
    {OPTION_LOAD, "--load", IN_LOAD},
    {OPTION_RECONCILE, "--reconcile", IN_RECONCILE},
    {'q', "--quiet", IN_PROBE},
    {OPTION_EXPLAIN, "--explain", IN_PROBE},
    {OPTION_EXPECT_CONFIG, "--expect-config", IN_PROBE},
    {'e', "--expect", IN_PROBE | IN_LOAD},
    {OPTION_EXPECT_FILE, "--expect-file", IN_PROBE | IN_LOAD},
    {'t', "--timeout", IN_PROBE | IN_LOAD},
    {'s', "--send", IN_PROBE | IN_LOAD},
    {OPTION_PROXY, "--proxy", IN_PROBE | IN_LOAD},
    {'n', "-n", IN_LOAD},
    {'c', "-c", IN_LOAD},
    {OPTION_RATE, "--rate", IN_LOAD},
    {OPTION_HOLD, "--hold", IN_LOAD},
    {OPTION_PID, "--pid", IN_LOAD},
    {OPTION_RECEIPTS, "--receipts", IN_LOAD},
    {OPTION_JSON, "--json", IN_LOAD | IN_RECONCILE},
};

/* The state while parsing. */
struct parser {
    struct arguments arguments;
    unsigned seen; /* a bit for each of mode_options[] */
};

static int refuse(const char *option, const char *reason)
{
    output_error("%s: %s", option, reason);
    options_suggest_help("greet");
    return -EINVAL;
}

static int read_number(uint64_t *ret, const char *option, uint64_t max)
{
    char reason[80];

    if (parse_unsigned(ret, optarg, 1, max) >= 0)
        return 0;
    snprintf(reason, sizeof(reason), "needs a number from 1 to %" PRIu64, max);
    return refuse(option, reason);
}

static int read_time(uint64_t *ret, const char *option, uint64_t min)
{
    uint64_t usec;

    if (parse_timespan(&usec, optarg) < 0 || usec < min)
        return refuse(option, "needs a span of time such as 500ms or 1min 30s");
    *ret = usec;
    return 0;
}

static int read_concurrent(struct arguments *arguments)
{
    uint64_t number;

    int r = read_number(&number, "-c", CONCURRENT_MAX);
    if (r >= 0)
        arguments->concurrent = (uint32_t)number;
    return r;
}

static int read_pid(struct arguments *arguments)
{
    uint64_t number;

    int r = read_number(&number, "--pid", INT_MAX);
    if (r >= 0)
        arguments->pid = (pid_t)number;
    return r;
}

static int read_proxy(struct arguments *arguments)
{
    if (proxy_argument_parse(&arguments->proxy, optarg) >= 0)
        return 0;
    return refuse("--proxy", "needs IPv4, IPv4:PORT, IPv6, [IPv6]:PORT, unix or local; with "
                             "--load also a network such as 192.0.2.0/24");
}

/* Sets an option with an argument that is not parsed here. */
static int set_text(struct arguments *arguments, int option)
{
    switch (option) {
    case 'e':
        arguments->expect = optarg;
        return 0;
    case OPTION_EXPECT_FILE:
        arguments->expect_file = optarg;
        return 0;
    case OPTION_EXPECT_CONFIG:
        arguments->expect_config = true;
        arguments->config_path = optarg;
        return 0;
    case OPTION_LISTENER:
        arguments->listener = optarg;
        return 0;
    case 's':
        arguments->send = optarg;
        return 0;
    case OPTION_RECEIPTS:
        arguments->receipts = optarg;
        return 0;
    case OPTION_RECONCILE:
        arguments->action = ARGUMENTS_RECONCILE;
        arguments->receipts = optarg;
        return 0;
    default: /* options_next() has printed the error */
        return -EINVAL;
    }
}

static int set_flag(struct arguments *arguments, int option)
{
    switch (option) {
    case 'q':
        arguments->quiet = true;
        return 0;
    case OPTION_EXPLAIN:
        arguments->explain = true;
        return 0;
    case OPTION_LOAD:
        arguments->action = ARGUMENTS_LOAD;
        return 0;
    case OPTION_JSON:
        arguments->json = true;
        return 0;
    default:
        return set_text(arguments, option);
    }
}

static int set_option(struct arguments *arguments, int option)
{
    switch (option) {
    case 't':
        return read_time(&arguments->timeout_usec, "--timeout", 1);
    case 'n':
        return read_number(&arguments->connections, "-n", CONNECTIONS_MAX);
    case 'c':
        return read_concurrent(arguments);
    case OPTION_RATE:
        return read_number(&arguments->rate, "--rate", RATE_MAX);
    case OPTION_HOLD:
        return read_time(&arguments->hold_usec, "--hold", 0);
    case OPTION_PID:
        return read_pid(arguments);
    case OPTION_PROXY:
        return read_proxy(arguments);
    default:
        return set_flag(arguments, option);
    }
}

static unsigned mode_bit(int option)
{
    for (size_t i = 0; i < ELEMENTSOF(mode_options); i++)
        if (mode_options[i].option == option)
            return 1U << i;
    return 0;
}

static const char *explain_mode(enum arguments_action action, unsigned modes)
{
    if (action == ARGUMENTS_LOAD)
        return "has no meaning with --load";
    if (action == ARGUMENTS_RECONCILE)
        return "has no meaning with --reconcile";
    return modes & IN_RECONCILE ? "has no meaning without --load or --reconcile"
                                : "has no meaning without --load";
}

static int check_mode(const struct parser *parser)
{
    enum arguments_action action = parser->arguments.action;

    for (size_t i = 0; i < ELEMENTSOF(mode_options); i++)
        if ((parser->seen & 1U << i) && !(mode_options[i].modes & 1U << action))
            return refuse(mode_options[i].name, explain_mode(action, mode_options[i].modes));
    if (action == ARGUMENTS_RECONCILE && parser->arguments.address)
        return refuse(parser->arguments.address, "an address has no meaning with --reconcile");
    return 0;
}

static int check_expected(const struct arguments *arguments)
{
    if (arguments->expect && arguments->expect_file)
        return refuse("--expect", "can't be combined with --expect-file");
    if (arguments->expect_config && (arguments->expect || arguments->expect_file))
        return refuse("--expect-config", "can't be combined with --expect or --expect-file");
    if (arguments->listener && !arguments->expect_config)
        return refuse("--listener", "has no meaning without --expect-config");
    return 0;
}

/* Checks and completes the options once all are known. */
static int complete(struct parser *parser)
{
    struct arguments *arguments = &parser->arguments;

    int r = check_mode(parser);
    if (r >= 0)
        r = check_expected(arguments);
    if (r < 0)
        return r;
    if (arguments->action != ARGUMENTS_LOAD && arguments->proxy.n_variable > 0)
        return refuse("--proxy", "a network has no meaning without --load");
    if (!arguments->address && !arguments->expect_config &&
        arguments->action != ARGUMENTS_RECONCILE)
        arguments->address = ARGUMENTS_ADDRESS_DEFAULT;
    if (arguments->action == ARGUMENTS_LOAD && arguments->send) {
        r = parse_size(&arguments->send_size, arguments->send);
        if (r < 0 || arguments->send_size > SSIZE_MAX)
            return refuse("--send", "with --load it needs a number of bytes such as 4096 or 4K");
    }
    if (arguments->concurrent > arguments->connections)
        arguments->concurrent = (uint32_t)arguments->connections;
    return 0;
}

/* Reads all options. Returns 1 at --help or --version, which stop the parsing. */
static int read_options(struct parser *parser, int argc, char **argv)
{
    int option;

    while ((option = options_next("greet", argc, argv, ":e:t:s:qn:c:h", options)) >= 0) {
        int r = 1;

        parser->seen |= mode_bit(option);
        if (option == 'h')
            parser->arguments.action = ARGUMENTS_HELP;
        else if (option == OPTION_VERSION)
            parser->arguments.action = ARGUMENTS_VERSION;
        else
            r = set_option(&parser->arguments, option);
        if (r != 0)
            return r;
    }
    return 0;
}

int arguments_parse(struct arguments *ret, int argc, char **argv)
{
    struct parser parser = {.arguments = {
                                .action = ARGUMENTS_PROBE,
                                .timeout_usec = TIMEOUT_USEC_DEFAULT,
                                .connections = CONNECTIONS_DEFAULT,
                                .concurrent = CONCURRENT_DEFAULT,
                            }};
    int r;

    optind = 0; /* restarts the scan: getopt(3), Notes */
    r = read_options(&parser, argc, argv);
    if (r == 0) {
        if (optind < argc)
            parser.arguments.address = argv[optind++];
        r = optind < argc ? refuse(argv[optind], "one address is all there may be")
                          : complete(&parser);
    }
    if (r < 0)
        return r;
    *ret = parser.arguments;
    return 0;
}

int arguments_compile(struct greeting **ret, const char *text, const char *option)
{
    const char *why;
    size_t offset;

    int r = template_compile_escapes(ret, text, &why, &offset);
    if (r == -EINVAL)
        output_error("%s: bad escape at byte %zu; %s", option, offset + 1, why);
    else if (r < 0)
        output_error("%s: %s", option, strerror(-r));
    return r;
}
