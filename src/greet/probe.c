/* SPDX-License-Identifier: MIT */
#include "greet/probe.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "greet/fetch.h"
#include "greet/output.h"
#include "greetd/base/parse.h"

#define BUFFER_SIZE ((size_t)64 * 1024)

struct probe {
    const struct arguments *arguments;
    struct fetch fetch;
    struct comparison comparison; /* expected is NULL if any greeting is right */
    int write_error;              /* negative errno of stdout */
};

/* Compares and prints the bytes received. Returns whether to read on. */
static bool accept_bytes(struct probe *probe, const char *bytes, size_t size)
{
    bool quiet = probe->arguments->quiet;
    bool right = !probe->comparison.expected || comparison_add(&probe->comparison, bytes, size);

    if (!quiet)
        probe->write_error = output_write(STDOUT_FILENO, bytes, size, probe->fetch.due_usec);
    return probe->write_error == 0 && (right || !quiet);
}

/* Reads to the end of stream, or as far as needed. Returns 0 or a negative errno. */
static int receive(struct probe *probe)
{
    char buffer[BUFFER_SIZE];
    ssize_t n;

    do
        n = fetch_read(&probe->fetch, buffer, sizeof(buffer));
    while (n > 0 && accept_bytes(probe, buffer, (size_t)n));
    return n < 0 ? (int)n : 0;
}

/* Prints the first difference from the expected greeting, if there is one. */
static enum exit_status check_greeting(const struct probe *probe)
{
    char address[ADDRESS_TEXT_MAX], difference[COMPARISON_TEXT_MAX];

    if (comparison_explain(&probe->comparison, difference))
        return EXIT_STATUS_OK;
    output_error("%s: not the greeting expected: %s",
                 address_format(&probe->fetch.address, address), difference);
    return EXIT_STATUS_WRONG;
}

static enum exit_status print_write_error(const struct probe *probe)
{
    char span[TIMESPAN_TEXT_MAX];

    format_timespan(probe->arguments->timeout_usec, span);
    if (probe->write_error == -ETIMEDOUT)
        output_error("Failed to write to standard output within %s", span);
    else
        output_error("Failed to write to standard output: %s", strerror(-probe->write_error));
    return EXIT_STATUS_UNABLE;
}

/* Prints the first cause of a failure, if any. ERROR is that of receive(). */
static enum exit_status print_failure(const struct probe *probe, int error)
{
    _cleanup_(diagnostics_deinit) struct diagnostics diagnostics = DIAGNOSTICS_NULL;

    if (probe->write_error < 0)
        return print_write_error(probe);
    if (probe->comparison.differs)
        return check_greeting(probe);
    if (error < 0) {
        fetch_add_error(&probe->fetch, error, &diagnostics);
        output_errors(&diagnostics);
        return exchange_exit_status(error);
    }
    return probe->comparison.expected ? check_greeting(probe) : EXIT_STATUS_OK;
}

static enum exit_status probe_connect(struct probe *probe, const struct fetch_options *options,
                                      const struct resolve_list *list)
{
    _cleanup_(diagnostics_deinit) struct diagnostics diagnostics = DIAGNOSTICS_NULL;
    enum exit_status status;

    int r = fetch_open(&probe->fetch, options, list, &diagnostics);
    if (r < 0) {
        output_errors(&diagnostics);
        return exchange_exit_status(r);
    }
    r = receive(probe);
    status = print_failure(probe, r);
    fetch_close(&probe->fetch);
    return status;
}

enum exit_status probe_run(const struct arguments *arguments, const struct resolve_list *list,
                           const struct greeting *expected)
{
    _cleanup_(greeting_unrefp) struct greeting *sent = NULL;
    struct probe probe = {.arguments = arguments, .comparison.expected = expected};
    struct fetch_options options = {
        .timeout_usec = arguments->timeout_usec,
        .explain = arguments->explain ? stderr : NULL,
    };

    if (arguments->send) {
        int r = arguments_compile(&sent, arguments->send, "--send");
        if (r < 0)
            return EXIT_STATUS_UNABLE;
        options.send = sent->bytes;
        options.send_size = sent->size;
    }
    return probe_connect(&probe, &options, list);
}
