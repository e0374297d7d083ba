/* SPDX-License-Identifier: MIT */
#include "greet/load.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "client/chart.h"
#include "client/fetch.h"
#include "client/generator.h"
#include "client/output.h"
#include "greetd/base/buffer.h"
#include "greetd/cli/terminal.h"

#define SAMPLE_READ_MIN ((size_t)4096)

/* Raises the limit of open files, and the hard limit too if permitted (getrlimit(2)). */
static int raise_open_files(uint32_t concurrent)
{
    rlim_t needed = (rlim_t)concurrent + GENERATOR_DESCRIPTORS;
    struct rlimit limit, raised;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) {
        int r = -errno;

        output_error("Failed to read the limit of open files: %s", strerror(-r));
        return r;
    }
    if (limit.rlim_cur >= needed)
        return 0;
    raised = (struct rlimit){.rlim_cur = needed,
                             .rlim_max = limit.rlim_max < needed ? needed : limit.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &raised) >= 0)
        return 0;
    output_error("-c %" PRIu32 " needs %llu open files, but the limit is %llu (ulimit -Hn)",
                 concurrent, (unsigned long long)needed, (unsigned long long)limit.rlim_max);
    return -EMFILE;
}

/* Reads to the end of stream. On success *RET has the bytes and is the caller's. */
static int receive_sample(struct greeting **ret, struct fetch *fetch)
{
    _cleanup_(buffer_deinit) struct buffer received = BUFFER_NULL;
    ssize_t n;

    do {
        int r = buffer_reserve(&received, SAMPLE_READ_MIN, SIZE_MAX);
        if (r < 0)
            return r;
        n = fetch_read(fetch, received.bytes + received.size, received.capacity - received.size);
        if (n < 0)
            return (int)n;
        received.size += (size_t)n;
        if (received.size > GREETING_SIZE_MAX)
            return -EFBIG;
    } while (n > 0);

    *ret = greeting_new();
    if (!*ret)
        return -ENOMEM;
    (*ret)->size = received.size;
    (*ret)->bytes = TAKE_PTR(received.bytes);
    return 0;
}

/* Makes the connection before the run. On success *RET is the caller's. Prints each error. */
static enum exit_status take_sample(struct greeting **ret, struct address *ret_address,
                                    const struct arguments *arguments,
                                    const struct resolve_list *list)
{
    _cleanup_(diagnostics_deinit) struct diagnostics diagnostics = DIAGNOSTICS_NULL;
    const struct fetch_options options = {.timeout_usec = arguments->timeout_usec,
                                          .proxy = arguments->proxy,
                                          .send_size = arguments->send_size};
    struct fetch fetch;

    int r = fetch_open(&fetch, &options, list, &diagnostics);
    if (r >= 0) {
        r = receive_sample(ret, &fetch);
        if (r < 0)
            fetch_add_error(&fetch, r, &diagnostics);
        fetch_close(&fetch);
    }
    if (r < 0) {
        output_errors(&diagnostics);
        return exchange_exit_status(r);
    }
    *ret_address = fetch.address;
    return EXIT_STATUS_OK;
}

static enum exit_status print(const struct arguments *arguments, const struct load_summary *summary)
{
    const struct load_result *result = summary->result;
    unsigned columns = terminal_columns(stdout);

    if (arguments->json)
        output_json(stdout, summary);
    else
        output_text(stdout, summary);
    if (!arguments->json && columns > 0)
        chart_print(stdout, &result->latency_usec, columns, terminal_has_utf8());
    if (!output_flush())
        return EXIT_STATUS_UNABLE;
    if (result->outcomes[OUTCOME_NO_PORT] > 0)
        output_error("%" PRIu64 " connections had no local port; see ip_local_port_range in ip(7)",
                     result->outcomes[OUTCOME_NO_PORT]);
    return load_result_exit_status(result);
}

/* Reads the processor time of the server if there is a --pid. Prints an error. */
static int read_server(struct schedstat *ret, pid_t pid)
{
    int r = pid > 0 ? schedstat_read(ret, pid) : 0;

    if (r < 0)
        output_error("Failed to read the processor time of process %d: %s", pid, strerror(-r));
    return r;
}

static enum exit_status run(const struct arguments *arguments,
                            const struct generator_options *options, struct load_result *result)
{
    _cleanup_(schedstat_deinit) struct schedstat before = {0}, after = {0};
    struct load_summary summary = {
        .address = &options->request.to, .result = result, .pid = arguments->pid, .server = &after};
    enum exit_status status;
    int r, error;

    if (read_server(&before, arguments->pid) < 0)
        return EXIT_STATUS_UNABLE;
    /* Not earlier: the opening of a FIFO for receipts waits for its reader. */
    generator_block_signals();
    error = generator_run(options, result);
    r = read_server(&after, arguments->pid);
    if (r < 0)
        summary.pid = 0;
    schedstat_subtract(&after, &before);

    status = print(arguments, &summary);
    if (error < 0)
        output_error("The run failed: %s", strerror(-error));
    return error < 0 || r < 0 ? EXIT_STATUS_UNABLE : status;
}

/* run(), with the receipts that are asked for. */
static enum exit_status run_with_receipts(const struct arguments *arguments,
                                          const struct generator_options *options,
                                          struct load_result *result)
{
    struct receipts receipts;
    struct generator_options with_receipts = *options;
    enum exit_status status;

    if (!arguments->receipts)
        return run(arguments, options, result);
    int r = receipts_open(&receipts, arguments->receipts, &options->request.to);
    if (r >= 0) {
        with_receipts.receipts = &receipts;
        status = run(arguments, &with_receipts, result);
        r = receipts_close(&receipts);
    }
    if (r >= 0)
        return status;
    output_error("%s: %s", arguments->receipts, strerror(-r));
    return EXIT_STATUS_UNABLE;
}

enum exit_status load_run(const struct arguments *arguments, const struct resolve_list *list,
                          const struct greeting *expected)
{
    _cleanup_(greeting_unrefp) struct greeting *sample = NULL;
    _cleanup_free_ struct load_result *result = calloc(1, sizeof(*result));
    struct generator_options options = {
        .request = {.to = list->addresses[0],
                    .proxy = arguments->proxy,
                    .size = arguments->send_size},
        .connections = arguments->connections,
        .concurrent = arguments->concurrent,
        .rate = arguments->rate,
        .timeout_usec = arguments->timeout_usec,
        .hold_usec = arguments->hold_usec,
        .terminal = terminal_has_controls(stderr) ? stderr : NULL,
    };

    if (!result) {
        output_error("out of memory");
        return EXIT_STATUS_UNABLE;
    }
    if (raise_open_files(arguments->concurrent) < 0)
        return EXIT_STATUS_UNABLE;
    if (!expected || list->n > 1) {
        enum exit_status status = take_sample(&sample, &options.request.to, arguments, list);
        if (status != EXIT_STATUS_OK)
            return status;
    }
    options.expected = expected ? expected : sample;
    return run_with_receipts(arguments, &options, result);
}
