/* SPDX-License-Identifier: MIT */

/* Tests of which clients are logged. */

#include <criterion/criterion.h>

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
