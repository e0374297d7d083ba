/* SPDX-License-Identifier: MIT */
#include "greet/load.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "greet/dial.h"
#include "greet/fetch.h"
#include "greet/generator.h"
#include "greet/message.h"
#include "greet/output.h"
#include "greet/schedstat.h"

#define SAMPLE_SIZE_MIN ((size_t)4096)

/* Raises the limit to what is needed, beyond the hard one if that is permitted (getrlimit(2)). */
static int raise_open_files(uint32_t concurrent)
{
    rlim_t needed = (rlim_t)concurrent + GENERATOR_DESCRIPTORS;
    struct rlimit limit, raised;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return -errno;
    if (limit.rlim_cur >= needed)
        return 0;
    raised = (struct rlimit){.rlim_cur = needed,
                             .rlim_max = limit.rlim_max < needed ? needed : limit.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &raised) >= 0)
        return 0;
    message("-c %" PRIu32 " needs %llu open files, but the limit is %llu (ulimit -Hn)", concurrent,
            (unsigned long long)needed, (unsigned long long)limit.rlim_max);
    return -EMFILE;
}

/* Reads to the end of stream. On success what was received is in *RET, the caller's. */
static int receive_sample(struct greeting **ret, struct fetch *fetch)
{
    _cleanup_(greeting_freep) struct greeting *sample = calloc(1, sizeof(*sample));
    size_t room = 0;

    for (;;) {
        ssize_t n;

        if (!sample)
            return -ENOMEM;
        if (sample->size == room) {
            char *grown = realloc(sample->bytes, room = room > 0 ? 2 * room : SAMPLE_SIZE_MIN);
            if (!grown)
                return -ENOMEM;
            sample->bytes = grown;
        }
        n = fetch_read(fetch, sample->bytes + sample->size, room - sample->size);
        if (n < 0)
            return (int)n;
        if (n == 0)
            break;
        sample->size += (size_t)n;
        if (sample->size > GREETING_SIZE_MAX)
            return -EFBIG;
    }
    *ret = TAKE_PTR(sample);
    return 0;
}

/* The connection before the run. Returns an exit status; unless that is EXIT_STATUS_OK, it has been
 * said why. */
static enum exit_status take_sample(struct greeting **ret, struct address *ret_address,
                                    const struct arguments *arguments,
                                    const struct resolve_list *list)
{
    _cleanup_(diagnostics_deinit) struct diagnostics diagnostics = DIAGNOSTICS_NULL;
    const struct fetch_options options = {.timeout_usec = arguments->timeout_usec,
                                          .send_size = arguments->send_size};
    struct fetch fetch;

    int r = fetch_open(&fetch, &options, list, &diagnostics);
    if (r >= 0) {
        r = receive_sample(ret, &fetch);
        if (r < 0)
            fetch_report(&fetch, r, &diagnostics);
        fetch_deinit(&fetch);
    }
    if (r < 0) {
        message_report(&diagnostics);
        return dial_exit_status(r);
    }
    *ret_address = fetch.address;
    return EXIT_STATUS_OK;
}

static enum exit_status worst_status(const struct generator_result *result)
{
    enum exit_status worst = EXIT_STATUS_OK;

    for (enum outcome i = 0; i < OUTCOMES; i++)
        if (result->outcomes[i] > 0 && outcome_exit_status(i) > worst)
            worst = outcome_exit_status(i);
    return worst;
}

static enum exit_status print(const struct arguments *arguments, const struct output_load *load)
{
    const struct generator_result *result = load->result;
    int r;

    if (arguments->json)
        output_json(stdout, load);
    else
        output_text(stdout, load);
    r = output_flush(stdout);
    if (r < 0) {
        message("Failed to write to standard output: %s", strerror(-r));
        return EXIT_STATUS_UNABLE;
    }
    if (result->outcomes[OUTCOME_NO_PORT] > 0)
        message("%" PRIu64 " connections had no local port; see ip_local_port_range in ip(7)",
                result->outcomes[OUTCOME_NO_PORT]);
    return worst_status(result);
}

/* Reads the server's processor time, if it was asked for. */
static int read_server(struct schedstat *ret, pid_t pid)
{
    int r = pid > 0 ? schedstat_read(ret, pid) : 0;

    if (r < 0)
        message("Failed to read the processor time of process %d: %s", pid, strerror(-r));
    return r;
}

static enum exit_status run(const struct arguments *arguments,
                            const struct generator_options *options,
                            struct generator_result *result)
{
    _cleanup_(schedstat_deinit) struct schedstat before = {0}, after = {0};
    struct output_load load = {
        .options = options, .result = result, .pid = arguments->pid, .server = &after};
    enum exit_status status;
    int r, error;

    if (read_server(&before, arguments->pid) < 0)
        return EXIT_STATUS_UNABLE;
    error = generator_run(options, result);
    r = read_server(&after, arguments->pid);
    if (r < 0)
        load.pid = 0;
    schedstat_subtract(&after, &before);

    status = print(arguments, &load);
    if (error < 0)
        message("The run was broken off: %s", strerror(-error));
    return error < 0 || r < 0 ? EXIT_STATUS_UNABLE : status;
}

/* From here on SIGINT and SIGTERM end the run, not the process. */
static void block_signals(void)
{
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);
}

enum exit_status load_run(const struct arguments *arguments, const struct resolve_list *list,
                          const struct greeting *expected)
{
    _cleanup_(greeting_freep) struct greeting *sample = NULL;
    _cleanup_free_ struct generator_result *result = calloc(1, sizeof(*result));
    struct generator_options options = {
        .address = list->addresses[0],
        .connections = arguments->connections,
        .concurrent = arguments->concurrent,
        .rate = arguments->rate,
        .timeout_usec = arguments->timeout_usec,
        .hold_usec = arguments->hold_usec,
        .terminal = isatty(STDERR_FILENO) ? stderr : NULL,
    };

    if (!result) {
        message("out of memory");
        return EXIT_STATUS_UNABLE;
    }
    if (raise_open_files(arguments->concurrent) < 0)
        return EXIT_STATUS_UNABLE;
    if (!expected || list->n > 1) {
        enum exit_status status = take_sample(&sample, &options.address, arguments, list);
        if (status != EXIT_STATUS_OK)
            return status;
    }
    options.plan = (struct exchange_plan){.greeting = expected ? expected : sample,
                                          .send_size = arguments->send_size};
    block_signals();
    return run(arguments, &options, result);
}
