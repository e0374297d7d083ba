/* SPDX-License-Identifier: MIT */

/* Tests of GreetOn=data: the queue of clients that have not sent data yet. */

#include <criterion/criterion.h>
#include <sys/epoll.h>

#include "greetd/base/cleanup.h"
#include "greetd/metrics/result.h"
#include "support/acceptor_fixture.h"
#include "support/fake_logger.h"
#include "support/step_clients.h"

#define START   ACCEPTOR_FIXTURE_START
#define TIMEOUT (5 * SNAPSHOT_FIXTURE_SECOND)

TestSuite(clients_data, .timeout = 60);

/* Opens listeners with GreetOn=data; DataTimeoutSec= is TIMEOUT for the first and longer for each
 * later one. */
static void open_with_data(struct acceptor_fixture *fixture, size_t n_bindings, size_t capacity)
{
    acceptor_fixture_open(fixture, n_bindings, capacity);
    for (size_t i = 0; i < n_bindings; i++) {
        fixture->net.configs[i].settings.greet_on = GREET_ON_DATA;
        fixture->net.configs[i].settings.data_timeout_usec = (i + 1) * TIMEOUT;
    }
}

/* Sends a byte from CLIENT and waits until it has arrived at place INDEX of the table. */
static void send_data(struct acceptor_fixture *fixture, size_t index, int client)
{
    net_send_zeroes(client, 1);
    net_wait(fixture->clients.table[index].fd, POLLIN);
}

Test(clients_data, greets_a_client_when_its_data_arrives)
{
    struct acceptor_fixture fixture;

    open_with_data(&fixture, 1, 4);
    int client = snapshot_fixture_connect(&fixture.net, 0);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, START), 0);
    cr_assert_eq(clients_next_deadline(&fixture.clients), START + TIMEOUT);
    cr_assert(fixture.clients.table[0].watched);
    send_data(&fixture, 0, client);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, START + SNAPSHOT_FIXTURE_SECOND), 0);
    cr_assert_eq(clients_next_deadline(&fixture.clients),
                 START + SNAPSHOT_FIXTURE_SECOND + CONN_AGAIN_USEC);
    cr_assert_not(fixture.clients.table[0].watched);
    snapshot_fixture_read_hello(client);
    acceptor_fixture_close(&fixture);
}

Test(clients_data, greets_without_epoll_if_data_is_there_on_accept)
{
    struct acceptor_fixture fixture;

    open_with_data(&fixture, 1, 4);
    int client = snapshot_fixture_connect(&fixture.net, 0);
    net_send_zeroes(client, 1);
    NET_WAIT_UNTIL(net_outstanding(client) == 0);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, START), 0);
    cr_assert_eq(clients_next_deadline(&fixture.clients), START + CONN_AGAIN_USEC);
    cr_assert_not(fixture.clients.table[0].watched);
    snapshot_fixture_read_hello(client);
    acceptor_fixture_close(&fixture);
}

Test(clients_data, times_out_a_client_that_sends_nothing)
{
    struct acceptor_fixture fixture;

    open_with_data(&fixture, 2, 4);
    snapshot_fixture_connect(&fixture.net, 1);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, START), 0);
    snapshot_fixture_connect(&fixture.net, 0);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, START + 1), 0);
    clients_expire(&fixture.clients, START + TIMEOUT);
    cr_assert_eq(fixture.clients.n, 2);
    clients_expire(&fixture.clients, START + TIMEOUT + 1);
    cr_assert_eq(fixture.clients.n, 1);
    cr_assert_eq(fake_logger.records[0].number, 2);
    cr_assert_eq(fake_logger.records[0].result, RESULT_TIMEOUT);
    cr_assert_eq(clients_next_deadline(&fixture.clients), START + 2 * TIMEOUT);
    clients_expire(&fixture.clients, START + 2 * TIMEOUT);
    cr_assert_eq(fixture.clients.n, 0);
    acceptor_fixture_close(&fixture);
}

/* The worker may be late, and epoll reports only a limited number of clients at a time. */
Test(clients_data, greets_at_the_timeout_if_data_has_arrived)
{
    struct acceptor_fixture fixture;

    open_with_data(&fixture, 1, 4);
    int client = snapshot_fixture_connect(&fixture.net, 0);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, START), 0);
    send_data(&fixture, 0, client);
    clients_expire(&fixture.clients, START + 10 * TIMEOUT);
    cr_assert_eq(fixture.clients.n, 1);
    snapshot_fixture_read_hello(client);
    acceptor_fixture_close(&fixture);
}

Test(clients_data, evicts_the_oldest_silent_client_when_full)
{
    struct acceptor_fixture fixture;
    int next;

    open_with_data(&fixture, 2, 2);
    snapshot_fixture_connect(&fixture.net, 1);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, START), 0);
    snapshot_fixture_connect(&fixture.net, 0);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, START + 1), 0);
    cr_assert(clients_can_evict(&fixture.clients, START + 1));
    for (uint64_t i = 1; i <= 3; i++) {
        next = snapshot_fixture_connect(&fixture.net, i % 2);
        cr_assert_eq(acceptor_fixture_run_once(&fixture, START + 1 + i), 0);
        cr_assert_eq(fake_logger.n, i);
        cr_assert_eq(fake_logger.records[i - 1].number, i);
        cr_assert_eq(fake_logger.records[i - 1].result, RESULT_PARTIAL);
        cr_assert_eq(fixture.clients.n, 2);
    }
    net_send_zeroes(next, 1);
    NET_WAIT_UNTIL((acceptor_fixture_run_once(&fixture, START + 9),
                    clients_next_deadline(&fixture.clients) == START + 9 + CONN_AGAIN_USEC));
    snapshot_fixture_read_hello(next);
    acceptor_fixture_close(&fixture);
}

Test(clients_data, evicts_a_lingering_client_before_a_silent_one)
{
    struct acceptor_fixture fixture;

    open_with_data(&fixture, 2, 2);
    fixture.net.configs[1].settings.greet_on = GREET_ON_CONNECT;
    snapshot_fixture_connect(&fixture.net, 0);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, START), 0);
    int lingering = snapshot_fixture_connect(&fixture.net, 1);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, START + 1), 0);
    snapshot_fixture_read_hello(dup(lingering));
    NET_WAIT_UNTIL(net_outstanding(fixture.clients.table[1].fd) == 0);
    step_polls(&fixture.clients, START + 1);
    cr_assert(clients_evict_oldest(&fixture.clients, START + SNAPSHOT_FIXTURE_SECOND));
    cr_assert_eq(fake_logger.records[0].number, 2);
    cr_assert(clients_evict_oldest(&fixture.clients, START + SNAPSHOT_FIXTURE_SECOND));
    cr_assert_eq(fake_logger.records[1].number, 1);
    cr_assert_not(clients_evict_oldest(&fixture.clients, START + SNAPSHOT_FIXTURE_SECOND));
    acceptor_fixture_close(&fixture);
}

/* The longest-connected client is evicted first, whether it is silent or was just greeted. */
Test(clients_data, evicts_silent_and_just_greeted_clients_by_age)
{
    struct acceptor_fixture fixture;

    open_with_data(&fixture, 2, 3);
    fixture.net.configs[1].settings.greet_on = GREET_ON_CONNECT;
    for (size_t i = 0; i < 3; i++) {
        snapshot_fixture_connect(&fixture.net, i % 2);
        cr_assert_eq(acceptor_fixture_run_once(&fixture, START + i), 0);
    }
    for (uint64_t number = 1; number <= 3; number++) {
        cr_assert(clients_evict_oldest(&fixture.clients, START + 4));
        cr_assert_eq(fake_logger.records[number - 1].number, number);
    }
    acceptor_fixture_close(&fixture);
}

Test(clients_data, greets_an_evicted_client_whose_data_has_arrived)
{
    struct acceptor_fixture fixture;

    open_with_data(&fixture, 1, 4);
    int client = snapshot_fixture_connect(&fixture.net, 0);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, START), 0);
    send_data(&fixture, 0, client);
    cr_assert(clients_evict_oldest(&fixture.clients, START + 1));
    cr_assert_eq(fixture.clients.n, 0);
    snapshot_fixture_read_hello(client);
    acceptor_fixture_close(&fixture);
}

Test(clients_data, ends_a_client_that_closes_without_sending)
{
    struct acceptor_fixture fixture;

    open_with_data(&fixture, 1, 4);
    close(snapshot_fixture_connect(&fixture.net, 0));
    NET_WAIT_UNTIL((acceptor_fixture_run_once(&fixture, START), fake_logger.n == 1));
    cr_assert_eq(fake_logger.records[0].result, RESULT_PARTIAL);
    cr_assert_eq(fixture.clients.n, 0);
    acceptor_fixture_close(&fixture);
}
