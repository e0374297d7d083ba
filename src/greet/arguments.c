/* SPDX-License-Identifier: MIT */
#include "greet/arguments.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>

#include "greetd/base/cleanup.h"
#include "greetd/base/parse.h"

#define TIMEOUT_USEC_DEFAULT 10000000
#define CONNECTIONS_DEFAULT  1000
#define CONCURRENT_DEFAULT   10

#define CONNECTIONS_MAX UINT64_C(1000000000000)
#define CONCURRENT_MAX  UINT64_C(1000000)
#define RATE_MAX        UINT64_C(1000000)

/* Options without a letter. */
enum {
    OPTION_EXPECT_FILE = UCHAR_MAX + 1,
    OPTION_EXPLAIN,
    OPTION_LOAD,
    OPTION_RATE,
    OPTION_HOLD,
    OPTION_JSON,
    OPTION_PID,
    OPTION_VERSION,
};

static const struct option options[] = {
    {"expect", required_argument, NULL, 'e'},
    {"expect-file", required_argument, NULL, OPTION_EXPECT_FILE},
    {"timeout", required_argument, NULL, 't'},
    {"send", required_argument, NULL, 's'},
    {"quiet", no_argument, NULL, 'q'},
    {"explain", no_argument, NULL, OPTION_EXPLAIN},
    {"load", no_argument, NULL, OPTION_LOAD},
    {"connections", required_argument, NULL, 'n'},
    {"concurrent", required_argument, NULL, 'c'},
    {"rate", required_argument, NULL, OPTION_RATE},
    {"hold", required_argument, NULL, OPTION_HOLD},
    {"json", no_argument, NULL, OPTION_JSON},
    {"pid", required_argument, NULL, OPTION_PID},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, OPTION_VERSION},
    {0},
};

/* Options that mean something in one mode only. */
static const struct {
    int option;
    const char *name;
    enum arguments_action action;
} modal[] = {
    {'q', "--quiet", ARGUMENTS_PROBE},
    {OPTION_EXPLAIN, "--explain", ARGUMENTS_PROBE},
    {'n', "-n", ARGUMENTS_LOAD},
    {'c', "-c", ARGUMENTS_LOAD},
    {OPTION_RATE, "--rate", ARGUMENTS_LOAD},
    {OPTION_HOLD, "--hold", ARGUMENTS_LOAD},
    {OPTION_JSON, "--json", ARGUMENTS_LOAD},
    {OPTION_PID, "--pid", ARGUMENTS_LOAD},
};

/* While it is being read. */
struct reader {
    struct arguments arguments;
    unsigned seen; /* a bit for each of modal[] */
};

static int log_stuck_worker(const char *what, const char *why)
{
    fprintf(stderr, "greet: %s: %s\nTry 'greet --help'.\n", what, why);
    return -EINVAL;
}

static int read_number(uint64_t *ret, const char *name, uint64_t max)
{
    char why[80];

    if (parse_unsigned(ret, optarg, 1, max) >= 0)
        return 0;
    snprintf(why, sizeof(why), "needs a number from 1 to %" PRIu64, max);
    return log_stuck_worker(name, why);
}

static int read_time(uint64_t *ret, const char *name, uint64_t min)
{
    uint64_t usec;

    if (parse_timespan(&usec, optarg) < 0 || usec < min)
        return log_stuck_worker(name, "needs a span of time such as 500ms or 1min 30s");
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

/* Options without an argument, and those whose text is taken as it is. */
static int read_plain(struct arguments *arguments, int option)
{
    switch (option) {
    case 'e':
        arguments->expect = optarg;
        return 0;
    case OPTION_EXPECT_FILE:
        arguments->expect_file = optarg;
        return 0;
    case 's':
        arguments->send = optarg;
        return 0;
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
    default: /* getopt_long(3) has said what is wrong */
        fputs("Try 'greet --help'.\n", stderr);
        return -EINVAL;
    }
}

static int read_option(struct arguments *arguments, int option)
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
    default:
        return read_plain(arguments, option);
    }
}

static unsigned modal_bit(int option)
{
    for (size_t i = 0; i < ELEMENTSOF(modal); i++)
        if (modal[i].option == option)
            return 1U << i;
    return 0;
}

static int check_modal(const struct reader *reader)
{
    for (size_t i = 0; i < ELEMENTSOF(modal); i++)
        if ((reader->seen & 1U << i) && modal[i].action != reader->arguments.action)
            return log_stuck_worker(modal[i].name, modal[i].action == ARGUMENTS_LOAD
                                                       ? "has no meaning without --load"
                                                       : "has no meaning with --load");
    return 0;
}

/* What can be checked only when all options are known. */
static int complete(struct reader *reader)
{
    struct arguments *arguments = &reader->arguments;

    int r = check_modal(reader);
    if (r < 0)
        return r;
    if (arguments->expect && arguments->expect_file)
        return log_stuck_worker("--expect", "can't be combined with --expect-file");
    if (arguments->action == ARGUMENTS_LOAD && arguments->send) {
        r = parse_size(&arguments->send_size, arguments->send);
        if (r < 0 || arguments->send_size > SSIZE_MAX)
            return log_stuck_worker("--send",
                                    "with --load it needs a number of bytes such as 4096 or 4K");
    }
    if (arguments->concurrent > arguments->connections)
        arguments->concurrent = (uint32_t)arguments->connections;
    return 0;
}

/* Reads all options. Returns 1 if one of them is all there is to do. */
static int read_options(struct reader *reader, int argc, char **argv)
{
    int option;

    while ((option = getopt_long(argc, argv, "e:t:s:qn:c:h", options, NULL)) >= 0) {
        int r = 1;

        reader->seen |= modal_bit(option);
        if (option == 'h')
            reader->arguments.action = ARGUMENTS_HELP;
        else if (option == OPTION_VERSION)
            reader->arguments.action = ARGUMENTS_VERSION;
        else
            r = read_option(&reader->arguments, option);
        if (r != 0)
            return r;
    }
    return 0;
}

int arguments_parse(struct arguments *ret, int argc, char **argv)
{
    struct reader reader = {.arguments = {
                                .action = ARGUMENTS_PROBE,
                                .address = ARGUMENTS_ADDRESS_DEFAULT,
                                .timeout_usec = TIMEOUT_USEC_DEFAULT,
                                .connections = CONNECTIONS_DEFAULT,
                                .concurrent = CONCURRENT_DEFAULT,
                            }};
    int r;

    optind = 0; /* so that it can be called again: getopt(3), Notes */
    r = read_options(&reader, argc, argv);
    if (r == 0) {
        if (optind < argc)
            reader.arguments.address = argv[optind++];
        r = optind < argc ? log_stuck_worker(argv[optind], "one address is all there may be")
                          : complete(&reader);
    }
    if (r < 0)
        return r;
    *ret = reader.arguments;
    return 0;
}
