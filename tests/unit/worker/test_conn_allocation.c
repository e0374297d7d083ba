/* SPDX-License-Identifier: MIT */

/* Tests of the allocations of greetings with variables: a failed one ends only that client. */

#include <criterion/criterion.h>
#include <string.h>

#include "greetd/greeting/variable.h"
#include "support/acceptor_fixture.h"
#include "support/fake_logger.h"
#include "support/fake_malloc.h"
#include "support/fake_prometheus.h"

#include "greetd/metrics/result.h"

TestSuite(conn_allocation, .timeout = 60);

#define SIZE ((size_t)12 * 1024 * 1024)

/* Whether $metrics has SIZE bytes; else it is empty. */
static bool is_huge;

static size_t write_metrics(char *buffer, size_t size)
{
    size_t length = is_huge ? SIZE : 0, n = length < size ? length : size - 1;

    if (size > 0) {
        memset(buffer, 'm', n);
        buffer[n] = '\0';
    }
    return length;
}

/* Opens a listener whose greeting ends with $metrics. */
static void open_with_variable(struct acceptor_fixture *fixture)
{
    static struct greeting_piece pieces[] = {{.size = 18}, {.size = 0}};

    pieces[0].variable = variable_find("metrics", 7);
    acceptor_fixture_open(fixture, 1, 4);
    fixture->net.greetings[0].pieces = pieces;
    fixture->net.greetings[0].n_pieces = ELEMENTSOF(pieces);
    fake_prometheus = write_metrics;
}

/* Greets one client while the NTH allocation fails; 0 for none. Returns the client. */
static int greet_failing(struct acceptor_fixture *fixture, unsigned nth)
{
    int client = snapshot_fixture_connect(&fixture->net, 0);

    count_from_here(nth);
    int r = acceptor_fixture_run_once(fixture, ACCEPTOR_FIXTURE_START);
    count_to_here();
    cr_assert_eq(r, 0);
    return client;
}

Test(conn_allocation, reuses_the_memory_of_an_earlier_greeting)
{
    struct acceptor_fixture fixture;

    open_with_variable(&fixture);
    snapshot_fixture_read_hello(greet_failing(&fixture, 0));
    cr_assert_eq(atomic_load(&counted.n), 1);
    snapshot_fixture_read_hello(greet_failing(&fixture, 0));
    cr_assert_eq(atomic_load(&counted.n), 0);
    acceptor_fixture_close(&fixture);
}

Test(conn_allocation, needs_none_for_a_greeting_without_variables)
{
    struct acceptor_fixture fixture;

    acceptor_fixture_open(&fixture, 1, 4);
    snapshot_fixture_read_hello(greet_failing(&fixture, 0));
    cr_assert_eq(atomic_load(&counted.n), 0);
    acceptor_fixture_close(&fixture);
}

/* Nor as it drips. */
Test(conn_allocation, needs_none_for_a_drip_without_variables)
{
    struct acceptor_fixture fixture;

    acceptor_fixture_open(&fixture, 1, 4);
    fixture.net.configs[0].settings.drip_usec = 1;
    int client = greet_failing(&fixture, 0);
    cr_assert_eq(atomic_load(&counted.n), 0);
    count_from_here(0);
    clients_expire(&fixture.clients, ACCEPTOR_FIXTURE_START + 1);
    count_to_here();
    cr_assert_eq(atomic_load(&counted.n), 0);
    snapshot_fixture_read_hello(client);
    acceptor_fixture_close(&fixture);
}

/* There are two allocations: for the text, and for the client's own copy of it. */
Test(conn_allocation, failure_ends_a_drip_with_an_error)
{
    for (unsigned nth = 1; nth <= 2; nth++) {
        struct acceptor_fixture fixture;

        open_with_variable(&fixture);
        fixture.net.configs[0].settings.drip_usec = 1;
        fake_logger.n = 0;
        close(greet_failing(&fixture, nth));
        cr_assert_eq(fake_logger.n, 1);
        cr_assert_eq(fake_logger.records[0].result, RESULT_ERROR);
        cr_assert_eq(fixture.clients.n, 0);
        acceptor_fixture_close(&fixture);
    }
}

/* There are three allocations: two for the text as it grows, and one for its unsent rest. */
Test(conn_allocation, failure_ends_that_client_alone_with_an_error)
{
    struct acceptor_fixture fixture;
    unsigned nth;

    for (nth = 1; nth < 100; nth++) {
        open_with_variable(&fixture);
        is_huge = true;
        fake_logger.n = 0;
        int client = greet_failing(&fixture, nth);
        if (atomic_load(&counted.n) < nth)
            break;

        cr_assert_eq(fake_logger.n, 1);
        cr_assert_eq(fake_logger.records[0].result, RESULT_ERROR);
        cr_assert_eq(fake_logger.records[0].number, 1);
        cr_assert_eq(fixture.clients.n, 0);
        close(client);

        is_huge = false;
        snapshot_fixture_read_hello(greet_failing(&fixture, 0));
        acceptor_fixture_close(&fixture);
    }
    cr_assert_eq(nth, 4);
    cr_assert_eq(fake_logger.n, 0);
    cr_assert_eq(fixture.clients.n, 1);
    cr_assert(fixture.clients.table[0].has_unsent);
    acceptor_fixture_close(&fixture);
}

Test(conn_allocation, frees_the_unsent_rest_with_the_client)
{
    struct acceptor_fixture fixture;

    open_with_variable(&fixture);
    is_huge = true;
    close(greet_failing(&fixture, 0));
    count_from_here(0);
    NET_WAIT_UNTIL(
        (acceptor_fixture_run_once(&fixture, ACCEPTOR_FIXTURE_START), fixture.clients.n == 0));
    count_to_here();
    cr_assert_eq(atomic_load(&counted.balance), -1);
    acceptor_fixture_close(&fixture);
}

Test(conn_allocation, failure_ends_a_client_whose_header_is_incomplete)
{
    struct acceptor_fixture fixture;
    int client;

    acceptor_fixture_open(&fixture, 1, 4);
    fixture.net.configs[0].settings.proxy_protocol = true;
    fixture.net.configs[0].settings.data_timeout_usec = 5 * SNAPSHOT_FIXTURE_SECOND;
    client = snapshot_fixture_connect(&fixture.net, 0);
    cr_assert_eq(send(client, "PROXY ", 6, MSG_NOSIGNAL), 6);
    fake_logger.n = 0;
    count_from_here(1);
    NET_WAIT_UNTIL(
        (acceptor_fixture_run_once(&fixture, ACCEPTOR_FIXTURE_START), fake_logger.n == 1));
    count_to_here();
    cr_expect_eq(atomic_load(&counted.n), 1);
    cr_expect_eq(fake_logger.records[0].result, RESULT_ERROR);
    cr_assert_eq(fixture.clients.n, 0);
    close(client);
    acceptor_fixture_close(&fixture);
}
