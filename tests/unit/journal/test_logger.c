/* SPDX-License-Identifier: MIT */
#include "greetd/journal/logger.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "greetd/base/cleanup.h"
#include "greetd/base/clock.h"
#include "greetd/journal/catalog.h"
#include "greetd/journal/record.h"
#include "greetd/metrics/result.h"
#include "support/logger_fixture.h"

#define SECOND ((uint64_t)1000000)

TestSuite(logger, .timeout = 60);

static void start(struct logger_fixture *fixture, unsigned n_workers)
{
    cr_assert_eq(pipe(fixture->pipe), 0);
    sink_init(&fixture->sink, fixture->pipe[1]);
    cr_assert_eq(metrics_new(&fixture->metrics, n_workers), 0);
    cr_assert_eq(
        logger_start(&fixture->logger, &fixture->sink, fixture->metrics, &LOGGER_EVERYTHING), 0);
}

/* Stops the logger. Returns its output, which the caller frees. */
static char *stop(struct logger_fixture *fixture)
{
    char *text = calloc(1, 4 * 1024 * 1024);
    size_t n = 0;
    ssize_t r;

    cr_assert_eq(logger_stop(fixture->logger, USEC_INFINITY), 0);
    metrics_free(fixture->metrics);
    close(fixture->pipe[1]);
    while ((r = read(fixture->pipe[0], text + n, 64 * 1024)) > 0)
        n += (size_t)r;
    return text;
}

/* Reads the output until it contains TEXT. */
static void await(struct logger_fixture *fixture, const char *text)
{
    char bytes[4096] = "";
    size_t n = 0;

    while (!strstr(bytes, text)) {
        struct pollfd pollfd = {.fd = fixture->pipe[0], .events = POLLIN};
        cr_assert_eq(poll(&pollfd, 1, 20000), 1, "not written: %s", text);
        ssize_t r = read(fixture->pipe[0], bytes + n, sizeof(bytes) - 1 - n);
        cr_assert_gt(r, 0);
        n += (size_t)r;
    }
}

Test(logger, writes_the_records_of_a_worker_in_order)
{
    struct logger_fixture fixture;

    start(&fixture, 2);
    for (uint16_t port = 1; port <= 1000; port++)
        logger_fixture_log(&fixture, 1, port);
    char *text = stop(&fixture);
    uint16_t port = 1;
    for (char *p = text; *p; p = strchr(p, '\n') + 1, port++) {
        char line[64];
        int length = snprintf(line, sizeof(line), "Connection from 127.0.0.1:%u\n", port);
        cr_assert_eq(strncmp(p, line, (size_t)length), 0);
    }
    cr_assert_eq(port, 1001);
    free(text);
}

Test(logger, wakes_up_for_each_entry)
{
    struct logger_fixture fixture;

    start(&fixture, 1);
    for (uint16_t port = 1; port <= 20; port++) {
        char line[64];

        logger_fixture_log(&fixture, 0, port);
        snprintf(line, sizeof(line), "Connection from 127.0.0.1:%u\n", port);
        await(&fixture, line);
        logger_log(fixture.logger, LOG_INFO, MESSAGE_ID_FAILED, "Message %u", port);
        snprintf(line, sizeof(line), "Message %u\n", port);
        await(&fixture, line);
    }
    free(stop(&fixture));
}

Test(logger, writes_messages_before_connections)
{
    static struct logger_fixture fixture;

    logger_fixture_open_blocked(&fixture, 2);
    logger_fixture_log(&fixture, 0, 1);
    logger_fixture_log(&fixture, 1, 2);
    logger_log(fixture.logger, LOG_INFO, MESSAGE_ID_FAILED, "Failed");
    logger_fixture_unblock_and_stop(&fixture);
    cr_assert_eq(blocking_journal.n, 4);
    cr_assert_str_eq(blocking_journal.messages[1], "Failed");
    cr_assert_str_eq(blocking_journal.messages[2], "Connection from 127.0.0.1:1");
    cr_assert_str_eq(blocking_journal.messages[3], "Connection from 127.0.0.1:2");
}

Test(logger, logs_a_connection_with_all_its_fields)
{
    static struct logger_fixture fixture;

    logger_fixture_open_blocked(&fixture, 2);
    logger_fixture_log(&fixture, 1, 54321);
    logger_fixture_unblock_and_stop(&fixture);
    cr_assert(fake_journal_has("MESSAGE=Connection from 127.0.0.1:54321"));
    cr_assert(fake_journal_has("MESSAGE_ID=" MESSAGE_ID_CONNECTION));
    cr_assert(fake_journal_has("PRIORITY=6"));
    cr_assert(fake_journal_has("GREETD_LISTENER=server"));
    cr_assert(fake_journal_has("GREETD_REMOTE_ADDR=127.0.0.1"));
    cr_assert(fake_journal_has("GREETD_REMOTE_PORT=54321"));
    cr_assert(fake_journal_has("GREETD_CONNECTION=7"));
    cr_assert(fake_journal_has("GREETD_RESULT=partial"));
    cr_assert(fake_journal_has("GREETD_BYTES=18"));
    cr_assert(fake_journal_has("GREETD_BYTES_ACKED=11"));
    cr_assert(fake_journal_has("GREETD_DURATION_USEC=123"));
    cr_assert(fake_journal_has("GREETD_WORKER=1"));
}

ParameterizedTestParameters(logger, logs_the_name_of_each_result)
{
    static enum result results[] = {
        RESULT_DELIVERED, RESULT_UNCONFIRMED, RESULT_PARTIAL,
        RESULT_RESET,     RESULT_TIMEOUT,     RESULT_ERROR,
    };
    return cr_make_param_array(enum result, results, ELEMENTSOF(results));
}

ParameterizedTest(enum result *result, logger, logs_the_name_of_each_result)
{
    static const char *const fields[] = {
        [RESULT_DELIVERED] = "GREETD_RESULT=delivered",
        [RESULT_UNCONFIRMED] = "GREETD_RESULT=unconfirmed",
        [RESULT_PARTIAL] = "GREETD_RESULT=partial",
        [RESULT_RESET] = "GREETD_RESULT=reset",
        [RESULT_TIMEOUT] = "GREETD_RESULT=timeout",
        [RESULT_ERROR] = "GREETD_RESULT=error",
    };
    static struct logger_fixture fixture;
    struct connection_record connection = {.listener = "server", .result = *result};

    logger_fixture_open_blocked(&fixture, 1);
    logger_log_connection(fixture.logger, 0, &connection);
    logger_fixture_unblock_and_stop(&fixture);
    cr_assert(fake_journal_has(fields[*result]));
}

Test(logger, logs_the_error_that_pauses_accepting)
{
    static struct logger_fixture fixture;

    logger_fixture_open_blocked(&fixture, 2);
    logger_log_accept_paused(fixture.logger, 1, EMFILE);
    logger_fixture_unblock_and_stop(&fixture);
    cr_assert(fake_journal_has("MESSAGE_ID=" MESSAGE_ID_ACCEPT_PAUSED));
    cr_assert(fake_journal_has("PRIORITY=4"));
    cr_assert(fake_journal_has("GREETD_WORKER=1"));
    cr_assert(strstr(fake_journal.last, strerrordesc_np(EMFILE)));
}

Test(logger, stop_times_out_if_the_log_blocks)
{
    static struct logger_fixture fixture;
    static char bytes[1024 * 1024];

    start(&fixture, 1);
    fcntl(fixture.pipe[1], F_SETFL, O_NONBLOCK);
    while (write(fixture.pipe[1], bytes, sizeof(bytes)) > 0)
        ;
    fcntl(fixture.pipe[1], F_SETFL, 0);
    for (uint16_t port = 1; port <= 1000; port++)
        logger_fixture_log(&fixture, 0, port);
    uint64_t deadline = clock_now() + SECOND / 10;
    cr_assert_eq(logger_stop(fixture.logger, deadline), -ETIMEDOUT);
    cr_assert_geq(clock_now(), deadline);
}

Test(logger, stop_without_entries_ends_at_once)
{
    struct logger_fixture fixture;

    start(&fixture, 3);
    char *text = stop(&fixture);
    cr_assert_str_eq(text, "");
    free(text);
}
