/* SPDX-License-Identifier: MIT */

/* Tests of dropped entries: the log announces their exact number. */

#include <criterion/criterion.h>
#include <sys/socket.h>

#include "greetd/base/clock.h"
#include "greetd/journal/catalog.h"
#include "greetd/journal/logger.h"
#include "greetd/journal/writer.h"
#include "greetd/metrics/metrics.h"
#include "support/logger_fixture.h"
#include "support/net.h"

#define SECOND ((uint64_t)1000000)

TestSuite(logger_dropped, .timeout = 60);

Test(logger_dropped, a_full_ring_drops_entries_and_counts_them)
{
    static struct logger_fixture fixture;
    const size_t n = 30000;

    logger_fixture_open_blocked(&fixture, 2);
    for (size_t i = 0; i < n; i++)
        logger_fixture_log(&fixture, i % 2, (uint16_t)i);
    logger_fixture_unblock_and_stop(&fixture);
    cr_assert_gt(blocking_journal_count("Connection from"), 0);
    cr_assert_gt(blocking_journal_sum("left out"), 0);
    cr_assert_eq(blocking_journal_count("Connection from") + blocking_journal_sum("left out"), n);
}

Test(logger_dropped, dropped_entries_are_announced_without_further_traffic)
{
    static struct logger_fixture fixture;
    const struct logger_options options = {
        .level = LOG_INFO,
        .limit = {.interval_usec = SECOND, .burst = UINT64_MAX},
    };
    const size_t n = 10000;

    logger_fixture_open_blocked_with(&fixture, 1, &options);
    for (size_t i = 0; i < n; i++)
        logger_fixture_log(&fixture, 0, (uint16_t)i);
    blocking_journal_unblock();
    /* The announcement precedes the stop. */
    for (int left = 20000; atomic_load(&blocking_journal.n_dropped) == 0 && left > 0; left--)
        poll(NULL, 0, 1);
    cr_assert_eq(atomic_load(&blocking_journal.n_dropped), 1);
    cr_assert_eq(logger_stop(fixture.logger, USEC_INFINITY), 0);
}

/* The interval is infinite, so that no test depends on the clock. */
static const struct logger_options ten_at_most = {
    .level = LOG_INFO,
    .limit = {.interval_usec = USEC_INFINITY, .burst = 10},
};

Test(logger_dropped, entries_beyond_the_limit_are_announced_at_the_end)
{
    static struct logger_fixture fixture;
    const size_t n = 2000;

    logger_fixture_open_blocked_with(&fixture, 2, &ten_at_most);
    for (size_t i = 0; i < n; i++)
        logger_fixture_log(&fixture, i % 2, (uint16_t)i);
    blocking_journal_unblock();
    NET_WAIT_UNTIL(metrics_log_dropped(fixture.metrics) == n - 10);
    cr_assert_eq(logger_stop(fixture.logger, USEC_INFINITY), 0);
    cr_assert_eq(blocking_journal_count("Connection from"), 10);
    cr_assert_eq(blocking_journal_sum("left out"), 1990);
}

/* The number of entries is larger than the ring. */
Test(logger_dropped, workers_only_count_while_the_limit_is_exceeded)
{
    static struct logger_fixture fixture;
    const size_t n = 100000;

    logger_fixture_open_blocked_with(&fixture, 1, &ten_at_most);
    for (size_t i = 0; i < 10; i++)
        logger_fixture_log(&fixture, 0, (uint16_t)i);
    blocking_journal_unblock();
    NET_WAIT_UNTIL(atomic_load(&fixture.logger->limit_exceeded));
    for (size_t i = 0; i < n; i++)
        logger_fixture_log(&fixture, 0, (uint16_t)i);
    cr_assert_eq(metrics_log_dropped(fixture.metrics), n);
    cr_assert_eq(logger_stop(fixture.logger, USEC_INFINITY), 0);
    cr_assert_eq(blocking_journal_sum("left out"), n);
}

/* A worker may still see the limit exceeded when it no longer is. It then counts its entry after
 * the thread has read the count, and does not wake the thread. */
Test(logger_dropped, a_late_count_is_announced_without_further_traffic)
{
    static struct logger_fixture fixture;
    const struct logger_options options = {.level = LOG_INFO,
                                           .limit = {.interval_usec = SECOND, .burst = 10}};

    logger_fixture_open_blocked_with(&fixture, 1, &options);
    for (uint16_t port = 1; port <= 10; port++)
        logger_fixture_log(&fixture, 0, port);
    blocking_journal_unblock();
    NET_WAIT_UNTIL(atomic_load(&fixture.logger->limit_exceeded));
    NET_WAIT_UNTIL(!atomic_load(&fixture.logger->limit_exceeded));
    NET_WAIT_UNTIL(atomic_load(&fixture.logger->waker.asleep));
    metrics_add(&fixture.logger->workers[0].connections, 1);
    metrics_add(&fixture.metrics->workers[0].log_dropped, 1);
    NET_WAIT_UNTIL(atomic_load(&blocking_journal.n_dropped) == 1);
    cr_assert_eq(logger_stop(fixture.logger, USEC_INFINITY), 0);
}

/* Logs the connection *N and increments *N. Returns how many have been written. */
static int log_another(struct logger_fixture *fixture, size_t *n)
{
    logger_fixture_log(fixture, 0, (uint16_t)(*n)++);
    return atomic_load(&blocking_journal.n_connections);
}

Test(logger_dropped, a_new_limit_takes_effect)
{
    static struct logger_fixture fixture;
    size_t n = 0;

    logger_fixture_open_blocked_with(&fixture, 1, &ten_at_most);
    for (; n < 100; n++)
        logger_fixture_log(&fixture, 0, (uint16_t)n);
    blocking_journal_unblock();
    NET_WAIT_UNTIL(metrics_log_dropped(fixture.metrics) == 90);
    logger_configure(fixture.logger, &LOGGER_EVERYTHING);
    NET_WAIT_UNTIL(log_another(&fixture, &n) > 10);
    cr_assert_eq(logger_stop(fixture.logger, USEC_INFINITY), 0);
    cr_assert_eq(blocking_journal_count("Connection from") + blocking_journal_sum("left out"), n);
}

Test(logger_dropped, entries_less_urgent_than_the_level_are_not_written)
{
    static struct logger_fixture fixture;
    const struct logger_options options = {.level = LOG_ERR};

    logger_fixture_open_blocked_with(&fixture, 1, &options);
    logger_log(fixture.logger, LOG_WARNING, MESSAGE_ID_FAILED, "Warning");
    logger_log(fixture.logger, LOG_ERR, MESSAGE_ID_FAILED, "Error");
    logger_log_about(fixture.logger, "web", LOG_INFO, MESSAGE_ID_LISTENING,
                     "Server is listening on %s", "127.0.0.1:7");
    logger_log_accept_paused(fixture.logger, 0, EMFILE);
    cr_assert_not(logger_wants_connections(fixture.logger));
    logger_fixture_unblock_and_stop(&fixture);
    cr_assert_eq(blocking_journal.n, 2);
    cr_assert_str_eq(blocking_journal.messages[1], "Error");
}

Test(logger_dropped, connections_are_logged_from_level_info_on)
{
    static struct logger_fixture fixture;
    struct logger_options options = {.level = LOG_NOTICE};

    logger_fixture_open_blocked_with(&fixture, 1, &options);
    cr_assert_not(logger_wants_connections(fixture.logger));
    options.level = LOG_INFO;
    logger_configure(fixture.logger, &options);
    cr_assert(logger_wants_connections(fixture.logger));
    logger_fixture_unblock_and_stop(&fixture);
}

/* The level in force at the end of a connection decides. */
Test(logger_dropped, queued_entries_are_written_after_the_level_excludes_them)
{
    static struct logger_fixture fixture;
    const struct logger_options options = {.level = LOG_EMERG};

    logger_fixture_open_blocked(&fixture, 1);
    for (uint16_t port = 1; port <= 5000; port++)
        logger_fixture_log(&fixture, 0, port);
    logger_configure(fixture.logger, &options);
    logger_fixture_unblock_and_stop(&fixture);
    cr_assert_eq(blocking_journal_count("Connection from"), 4096);
    cr_assert_eq(blocking_journal_sum("left out"), 904);
}

/* A message that finds its ring full is counted, and the log has the count. */
Test(logger_dropped, dropped_messages_are_announced)
{
    static struct logger_fixture fixture;
    const size_t n = 3000; /* more than the size of the ring */

    logger_fixture_open_blocked(&fixture, 1);
    for (size_t i = 0; i < n; i++)
        logger_log(fixture.logger, LOG_INFO, MESSAGE_ID_LISTENING, "Message %zu", i);
    logger_fixture_unblock_and_stop(&fixture);
    cr_assert_gt(blocking_journal_sum("messages left out"), 0);
    cr_assert_eq(blocking_journal_count("Message ") + blocking_journal_sum("messages left out"), n);
    cr_assert(fake_journal_has("MESSAGE_ID=" MESSAGE_ID_MESSAGES_DROPPED));
}

Test(logger_dropped, entries_lost_in_a_blocked_journal_are_reported_on_stderr)
{
    static struct logger_fixture fixture;
    char text[256] = "";
    int ends[2];

    logger_fixture_open_blocked(&fixture, 2);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    fixture.sink.fd = ends[1];
    for (uint16_t port = 1; port <= 5000; port++)
        logger_fixture_log(&fixture, 1, port);
    cr_assert_eq(logger_stop(fixture.logger, clock_now()), -ETIMEDOUT);
    cr_assert_gt(read(ends[0], text, sizeof(text) - 1), 0);
    cr_assert_str_eq(text, "<5>5000 connection entries left out: the journal did not take them "
                           "before the end\n");
}

/* A worker that was stuck may continue to count while the counters are read. */
Test(logger_dropped, the_loss_is_never_negative_while_workers_count)
{
    static struct logger_fixture fixture;
    char text[256] = "";
    int ends[2];

    logger_fixture_open_blocked(&fixture, 1);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    fixture.sink.fd = ends[1];
    logger_fixture_log(&fixture, 0, 1);
    metrics_add(&fixture.logger->accounted, 2);
    cr_assert_eq(logger_end(fixture.logger, clock_now()), -ETIMEDOUT);
    cr_assert_eq(read(ends[0], text, sizeof(text) - 1), -1, "%s", text);
}

Test(logger_dropped, refused_entries_are_announced_when_the_journal_recovers)
{
    static struct logger_fixture fixture;
    const size_t n = 100;

    logger_fixture_open_blocked(&fixture, 1);
    fake_journal.error = -ECONNREFUSED;
    for (uint16_t port = 1; port <= n; port++)
        logger_fixture_log(&fixture, 0, port);
    blocking_journal_unblock();
    NET_WAIT_UNTIL(metrics_log_dropped(fixture.metrics) == n);
    fake_journal.error = 0;
    cr_assert_eq(logger_stop(fixture.logger, USEC_INFINITY), 0);
    cr_assert_eq(blocking_journal_sum("left out"), n);
}

Test(logger_dropped, entries_refused_until_the_end_are_reported_on_stderr)
{
    static struct logger_fixture fixture;
    char text[256] = "";
    int ends[2];

    logger_fixture_open_blocked(&fixture, 1);
    fake_journal.error = -ECONNREFUSED;
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    fixture.sink.fd = ends[1];
    for (uint16_t port = 1; port <= 5000; port++)
        logger_fixture_log(&fixture, 0, port);
    logger_fixture_unblock_and_stop(&fixture);
    cr_assert_gt(read(ends[0], text, sizeof(text) - 1), 0);
    cr_assert_str_eq(text, "<5>5000 connection entries left out: the journal did not take them "
                           "before the end\n");
}

/* Messages precede connections, so the announcement has failed when the connection is lost. */
Test(logger_dropped, dropped_messages_are_announced_when_the_journal_recovers)
{
    static struct logger_fixture fixture;

    logger_fixture_open_blocked(&fixture, 1);
    fake_journal.error = -ECONNREFUSED;
    for (size_t i = 0; i < 3000; i++)
        logger_log(fixture.logger, LOG_INFO, MESSAGE_ID_LISTENING, "Message %zu", i);
    logger_fixture_log(&fixture, 0, 1);
    blocking_journal_unblock();
    NET_WAIT_UNTIL(metrics_log_dropped(fixture.metrics) == 1);
    fake_journal.error = 0;
    cr_assert_eq(logger_stop(fixture.logger, USEC_INFINITY), 0);
    cr_assert_gt(blocking_journal_sum("messages left out"), 0);
}
