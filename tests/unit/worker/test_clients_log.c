/* SPDX-License-Identifier: MIT */

/* Tests of which clients are logged. */

#include <criterion/criterion.h>

#include "greetd/metrics/result.h"
#include "support/acceptor_fixture.h"
#include "support/fake_logger.h"

#define START ACCEPTOR_FIXTURE_START

TestSuite(clients_log, .timeout = 60);

/* Accepts a client of listener I and closes it. */
static void serve_client(struct acceptor_fixture *fixture, size_t i)
{
    close(snapshot_fixture_connect(&fixture->net, i));
    cr_assert_eq(acceptor_fixture_run_once(fixture, START), 0);
    clients_close_all(&fixture->clients, START);
}

Test(clients_log, has_only_the_clients_of_listeners_that_log)
{
    struct acceptor_fixture fixture;

    acceptor_fixture_open(&fixture, 2, 4);
    fixture.net.configs[0].settings.log_connections = false;
    for (size_t i = 0; i < 4; i++)
        serve_client(&fixture, i % 2);
    cr_assert_eq(fixture.context.counters->ended, 4);
    cr_assert_eq(fake_logger.n, 2);
    cr_assert_eq(fake_logger.records[0].number, 2);
    cr_assert_eq(fake_logger.records[1].number, 4);
    acceptor_fixture_close(&fixture);
}

Test(clients_log, has_no_client_if_the_level_excludes_connections)
{
    struct acceptor_fixture fixture;

    acceptor_fixture_open(&fixture, 1, 4);
    fake_logger.excludes_connections = true;
    serve_client(&fixture, 0);
    cr_assert_eq(fixture.context.counters->ended, 1);
    cr_assert_eq(fake_logger.n, 0);
    acceptor_fixture_close(&fixture);
}

/* Accepts a silent client of the only listener, with GreetOn=data. */
static void serve_silent_client(struct acceptor_fixture *fixture)
{
    uint64_t n = fixture->context.counters->ended;

    fixture->net.configs[0].settings.greet_on = GREET_ON_DATA;
    fixture->net.configs[0].settings.data_timeout_usec = SNAPSHOT_FIXTURE_SECOND;
    close(snapshot_fixture_connect(&fixture->net, 0));
    NET_WAIT_UNTIL(
        (acceptor_fixture_run_once(fixture, START), fixture->context.counters->ended > n));
}

Test(clients_log, has_silent_clients_if_they_are_logged)
{
    struct acceptor_fixture fixture;

    acceptor_fixture_open(&fixture, 1, 4);
    serve_silent_client(&fixture);
    cr_assert_eq(fake_logger.n, 1);
    cr_assert_eq(fixture.context.counters->log_silent, 0);
    acceptor_fixture_close(&fixture);
}

Test(clients_log, has_no_silent_clients_if_they_are_only_counted)
{
    struct acceptor_fixture fixture;

    acceptor_fixture_open(&fixture, 1, 4);
    fixture.net.configs[0].log_silent = false;
    serve_silent_client(&fixture);
    serve_silent_client(&fixture);
    cr_assert_eq(fake_logger.n, 0);
    cr_assert_eq(fixture.context.counters->log_silent, 2);
    cr_assert_eq(fixture.clients.newest->listeners[0].counters->results[RESULT_PARTIAL], 2);
    acceptor_fixture_close(&fixture);
}

Test(clients_log, has_and_counts_no_silent_client_that_would_not_be_logged)
{
    struct acceptor_fixture fixture;

    acceptor_fixture_open(&fixture, 1, 4);
    fixture.net.configs[0].log_silent = false;
    fake_logger.excludes_connections = true;
    serve_silent_client(&fixture);
    fake_logger.excludes_connections = false;
    fixture.net.configs[0].settings.log_connections = false;
    serve_silent_client(&fixture);
    cr_assert_eq(fake_logger.n, 0);
    cr_assert_eq(fixture.context.counters->log_silent, 0);
    acceptor_fixture_close(&fixture);
}

Test(clients_log, has_clients_that_time_out_or_are_dropped_in_silence)
{
    struct acceptor_fixture fixture;

    acceptor_fixture_open(&fixture, 1, 4);
    fixture.net.configs[0].log_silent = false;
    fixture.net.configs[0].settings.greet_on = GREET_ON_DATA;
    fixture.net.configs[0].settings.data_timeout_usec = SNAPSHOT_FIXTURE_SECOND;
    acceptor_fixture_connect(&fixture, 1);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, START), 0);
    clients_expire(&fixture.clients, START + SNAPSHOT_FIXTURE_SECOND);
    cr_assert_eq(fake_logger.n, 1);
    cr_assert_eq(fake_logger.records[0].result, RESULT_TIMEOUT);
    acceptor_fixture_connect(&fixture, 1);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, START), 0);
    cr_assert(clients_evict_oldest(&fixture.clients, START));
    cr_assert_eq(fake_logger.n, 2);
    cr_assert_eq(fixture.context.counters->log_silent, 0);
    acceptor_fixture_close(&fixture);
}
