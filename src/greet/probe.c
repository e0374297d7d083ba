/* SPDX-License-Identifier: MIT */
#include "greet/probe.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "greet/dial.h"
#include "greet/expect.h"
#include "greet/fetch.h"
#include "greet/message.h"
#include "greet/output.h"
#include "greetd/base/parse.h"

#define BUFFER_SIZE ((size_t)64 * 1024)

struct probe {
    const struct arguments *arguments;
    struct fetch fetch;
    struct expect expect; /* its greeting is NULL if any will do */
    int write_error;      /* negative errno */
};

/* Takes what was received. Returns whether more is wanted. */
static bool take(struct probe *probe, const char *bytes, size_t size)
{
    bool quiet = probe->arguments->quiet;
    bool right = !probe->expect.greeting || expect_bytes(&probe->expect, bytes, size);

    if (!quiet)
        probe->write_error = output_bytes(STDOUT_FILENO, bytes, size, probe->fetch.due_usec);
    return probe->write_error == 0 && (right || !quiet);
}

/* Reads to the end of stream, or as far as it is of use. Returns 0 or a negative errno. */
static int receive(struct probe *probe)
{
    char buffer[BUFFER_SIZE];
    ssize_t n;

    do
        n = fetch_read(&probe->fetch, buffer, sizeof(buffer));
    while (n > 0 && take(probe, buffer, (size_t)n));
    return n < 0 ? (int)n : 0;
}

static enum exit_status say_wrong(const struct probe *probe, const char *how)
{
    char address[ADDRESS_TEXT_MAX];

    message("%s: not the greeting expected: %s", address_format(&probe->fetch.address, address),
            how);
    return EXIT_STATUS_WRONG;
}

static enum exit_status say_unwritten(const struct probe *probe)
{
    char span[TIMESPAN_TEXT_MAX];

    format_timespan(probe->arguments->timeout_usec, span);
    if (probe->write_error == -ETIMEDOUT)
        message("Failed to write to standard output within %s", span);
    else
        message("Failed to write to standard output: %s", strerror(-probe->write_error));
    return EXIT_STATUS_UNABLE;
}

/* What to make of it, from the first cause on. */
static enum exit_status judge(const struct probe *probe, int error)
{
    _cleanup_(diagnostics_deinit) struct diagnostics diagnostics = DIAGNOSTICS_NULL;
    char how[EXPECT_TEXT_MAX];

    if (probe->write_error < 0)
        return say_unwritten(probe);
    if (probe->expect.wrong) {
        expect_explain(&probe->expect, how);
        return say_wrong(probe, how);
    }
    if (error < 0) {
        fetch_report(&probe->fetch, error, &diagnostics);
        message_report(&diagnostics);
        return dial_exit_status(error);
    }
    if (probe->expect.greeting && !expect_explain(&probe->expect, how))
        return say_wrong(probe, how);
    return EXIT_STATUS_OK;
}

static enum exit_status probe_connect(struct probe *probe, const struct fetch_options *options,
                                      const struct resolve_list *list)
{
    _cleanup_(diagnostics_deinit) struct diagnostics diagnostics = DIAGNOSTICS_NULL;
    enum exit_status status;

    int r = fetch_open(&probe->fetch, options, list, &diagnostics);
    if (r < 0) {
        message_report(&diagnostics);
        return dial_exit_status(r);
    }
    r = receive(probe);
    status = judge(probe, r);
    fetch_deinit(&probe->fetch);
    return status;
}

enum exit_status probe_run(const struct arguments *arguments, const struct resolve_list *list,
                           const struct greeting *expected)
{
    _cleanup_(greeting_freep) struct greeting *sent = NULL;
    struct probe probe = {.arguments = arguments, .expect.greeting = expected};
    struct fetch_options options = {
        .timeout_usec = arguments->timeout_usec,
        .explain = arguments->explain ? stderr : NULL,
    };

    if (arguments->send) {
        int r = message_compile(&sent, arguments->send, "--send");
        if (r < 0)
            return EXIT_STATUS_UNABLE;
        options.send = sent->bytes;
        options.send_size = sent->size;
    }
    return probe_connect(&probe, &options, list);
}
