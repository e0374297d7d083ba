/* SPDX-License-Identifier: MIT */

/* Tests of greeted clients that have not acknowledged all of their greeting. */

#include <criterion/criterion.h>
#include <sys/epoll.h>

#include "support/acceptor_fixture.h"
#include "support/fake_logger.h"
#include "support/step_clients.h"

#include "greetd/metrics/result.h"
#include "greetd/worker/context.h"

#define START ACCEPTOR_FIXTURE_START

/* The kernel takes all of a greeting of this size; a client that does not read receives a part. */
#define LARGE       ((size_t)600 * 1000)
#define SEND_BUFFER 2000000

TestSuite(clients_acknowledging, .timeout = 60);

/* Steps until epoll reports no client. After the end of stream in both directions, epoll must not
 * report the client again and again. */
static void step_until_quiet(struct acceptor_fixture *fixture, uint64_t now_usec)
{
    for (int left = 20; step_clients(&fixture->clients, now_usec, 0) > 0; left--)
        cr_assert_gt(left, 0, "epoll does not become quiet");
}

/* Greets a client that does not read its large greeting, and has half-closed if HALF_CLOSED.
 * Returns the client. */
static int open_unacknowledged(struct acceptor_fixture *fixture, bool half_closed,
                               uint64_t now_usec)
{
    acceptor_fixture_open(fixture, 1, 4);
    fixture->net.greetings[0] = net_long_greeting(LARGE);
    setsockopt(fixture->net.listeners[0].fd, SOL_SOCKET, SO_SNDBUF, &(int){SEND_BUFFER},
               sizeof(int));
    int client = net_connect_with(&fixture->net.addresses[0], 4096);

    if (half_closed)
        shutdown(client, SHUT_WR);
    net_wait(fixture->net.listeners[0].fd, POLLIN);
    cr_assert_eq(acceptor_fixture_run_once(fixture, now_usec), 0);
    cr_assert_eq(fixture->shared.metrics->workers->greeted, 1);
    net_await_full(fixture->clients.table[0].fd);
    /* The first poll finds an end of stream. */
    uint64_t watched_usec = now_usec + (half_closed ? CONN_SOON_USEC : CONN_AGAIN_USEC);
    step_polls(&fixture->clients, now_usec);
    cr_assert_eq(clients_next_deadline(&fixture->clients),
                 watched_usec + 30 * SNAPSHOT_FIXTURE_SECOND);
    return client;
}

Test(clients_acknowledging, waits_for_the_acknowledgement_of_a_half_closed_client)
{
    struct acceptor_fixture fixture;
    char *bytes = malloc(LARGE);

    int client = open_unacknowledged(&fixture, true, START);
    step_until_quiet(&fixture, START + SNAPSHOT_FIXTURE_SECOND);
    cr_assert_eq(fixture.clients.n, 1);
    cr_assert_eq(net_read_to_end(client, bytes, LARGE), (ssize_t)LARGE);
    while (fixture.clients.n > 0)
        step_ready_clients(&fixture.clients, START + 2 * SNAPSHOT_FIXTURE_SECOND);
    cr_assert_eq(fake_logger.records[0].result, RESULT_DELIVERED);
    cr_assert_eq(fake_logger.records[0].duration_usec, 2 * SNAPSHOT_FIXTURE_SECOND);
    free(fixture.net.greetings[0].bytes);
    free(bytes);
    acceptor_fixture_close(&fixture);
}

Test(clients_acknowledging, starts_the_linger_at_the_last_acknowledgement)
{
    struct acceptor_fixture fixture;
    char *bytes = malloc(LARGE);

    int client = open_unacknowledged(&fixture, false, START);
    step_until_quiet(&fixture, START + SNAPSHOT_FIXTURE_SECOND);
    cr_assert_eq(net_read_to_end(client, bytes, LARGE), (ssize_t)LARGE);
    step_ready_clients(&fixture.clients, START + 9 * SNAPSHOT_FIXTURE_SECOND);
    cr_assert_eq(clients_next_deadline(&fixture.clients), START + 11 * SNAPSHOT_FIXTURE_SECOND);
    cr_assert(clients_can_evict(&fixture.clients, START + 9 * SNAPSHOT_FIXTURE_SECOND));
    clients_expire(&fixture.clients, START + 11 * SNAPSHOT_FIXTURE_SECOND);
    cr_assert_eq(fake_logger.records[0].result, RESULT_DELIVERED);
    free(fixture.net.greetings[0].bytes);
    free(bytes);
    acceptor_fixture_close(&fixture);
}

/* The kernel may still deliver the greeting, or the client may have vanished. */
Test(clients_acknowledging, evicts_a_client_that_does_not_read_only_after_the_linger_time)
{
    struct acceptor_fixture fixture;
    const uint64_t greeted = START + CONN_SOON_USEC;

    open_unacknowledged(&fixture, true, START);
    cr_assert_not(clients_can_evict(&fixture.clients, greeted + 2 * SNAPSHOT_FIXTURE_SECOND - 1));
    cr_assert_not(
        clients_evict_oldest(&fixture.clients, greeted + 2 * SNAPSHOT_FIXTURE_SECOND - 1));
    cr_assert(clients_evict_oldest(&fixture.clients, greeted + 2 * SNAPSHOT_FIXTURE_SECOND));
    cr_assert_eq(fake_logger.records[0].result, RESULT_UNCONFIRMED);
    free(fixture.net.greetings[0].bytes);
    acceptor_fixture_close(&fixture);
}

/* The input is more than one step discards. */
Test(clients_acknowledging, discards_all_input_of_a_client_that_does_not_read)
{
    struct acceptor_fixture fixture;

    int client = open_unacknowledged(&fixture, false, START);
    net_send_zeroes(client, 4 * CONN_DISCARD_STEP_MAX);
    NET_WAIT_UNTIL((step_until_quiet(&fixture, START + SNAPSHOT_FIXTURE_SECOND),
                    net_unread(fixture.clients.table[0].fd) == 0 && net_outstanding(client) == 0));
    cr_assert_eq(clients_next_deadline(&fixture.clients),
                 START + CONN_AGAIN_USEC + 30 * SNAPSHOT_FIXTURE_SECOND);
    free(fixture.net.greetings[0].bytes);
    acceptor_fixture_close(&fixture);
}
