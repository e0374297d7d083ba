/* SPDX-License-Identifier: MIT */

/* Memory that is refused to a greeting with variables ends that one client, and nothing else. */

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

/* $metrics is SIZE bytes long, or empty. */
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

static void open_with_variable(struct acceptor_fixture *fixture)
{
    static struct greeting_piece pieces[] = {{.size = 18}, {.size = 0}};

    pieces[0].variable = variable_find("metrics", 7);
    acceptor_fixture_open(fixture, 1, 4);
    fixture->net.greetings[0].pieces = pieces;
    fixture->net.greetings[0].n_pieces = ELEMENTSOF(pieces);
    fake_prometheus = write_metrics;
}

/* Greets one client with the NTH call for memory refused. Returns the client. */
static int greet_refusing(struct acceptor_fixture *fixture, unsigned nth)
{
    int client = snapshot_fixture_connect(&fixture->net, 0);

    count_from_here(nth);
    int r = acceptor_fixture_run_once(fixture, ACCEPTOR_FIXTURE_START);
    count_to_here();
    cr_assert_eq(r, 0);
    return client;
}

Test(conn_allocation, is_none_for_who_is_greeted_after_another)
{
    struct acceptor_fixture fixture;

    open_with_variable(&fixture);
    snapshot_fixture_read_hello(greet_refusing(&fixture, 0));
    cr_assert_eq(atomic_load(&counted.n), 1);
    snapshot_fixture_read_hello(greet_refusing(&fixture, 0));
    cr_assert_eq(atomic_load(&counted.n), 0);
    acceptor_fixture_close(&fixture);
}

Test(conn_allocation, is_none_for_a_plain_greeting)
{
    struct acceptor_fixture fixture;

    acceptor_fixture_open(&fixture, 1, 4);
    snapshot_fixture_read_hello(greet_refusing(&fixture, 0));
    cr_assert_eq(atomic_load(&counted.n), 0);
    acceptor_fixture_close(&fixture);
}

/* Two for the rendering as it grows, and one to keep what a client does not take at once. */
Test(conn_allocation, that_is_refused_ends_the_client_as_an_error_and_nobody_else)
{
    struct acceptor_fixture fixture;
    unsigned nth;

    for (nth = 1; nth < 100; nth++) {
        open_with_variable(&fixture);
        is_huge = true;
        fake_logger.n = 0;
        int client = greet_refusing(&fixture, nth);
        if (atomic_load(&counted.n) < nth)
            break;

        cr_assert_eq(fake_logger.n, 1);
        cr_assert_eq(fake_logger.records[0].result, RESULT_ERROR);
        cr_assert_eq(fake_logger.records[0].number, 1);
        cr_assert_eq(fixture.clients.n, 0);
        close(client);

        is_huge = false;
        snapshot_fixture_read_hello(greet_refusing(&fixture, 0));
        acceptor_fixture_close(&fixture);
    }
    cr_assert_eq(nth, 4);
    cr_assert_eq(fake_logger.n, 0);
    cr_assert_eq(fixture.clients.n, 1);
    cr_assert(fixture.clients.table[0].has_unsent);
    acceptor_fixture_close(&fixture);
}

/* What is kept for a client is given back when it ends, however that is. */
Test(conn_allocation, is_given_back)
{
    struct acceptor_fixture fixture;

    open_with_variable(&fixture);
    is_huge = true;
    close(greet_refusing(&fixture, 0));
    count_from_here(0);
    NET_WAIT_UNTIL(
        (acceptor_fixture_run_once(&fixture, ACCEPTOR_FIXTURE_START), fixture.clients.n == 0));
    count_to_here();
    cr_assert_eq(atomic_load(&counted.balance), -1);
    acceptor_fixture_close(&fixture);
}
