/* SPDX-License-Identifier: MIT */

/* Tests of how workers share MaxConnections=, and of how listeners share the places of a worker. */

#include <criterion/criterion.h>

#include "support/acceptor_fixture.h"
#include "support/fake_logger.h"

#define RETRY 20000

TestSuite(acceptor_share, .timeout = 60);

/* The other workers can accept, so no client here needs to be evicted. */
Test(acceptor_share, leaves_clients_to_workers_that_have_room)
{
    struct acceptor_fixture fixture;

    acceptor_fixture_open(&fixture, 1, 2);
    fixture.shared.max_connections = 4;
    acceptor_fixture_connect(&fixture, 2);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, ACCEPTOR_FIXTURE_START), 0);
    cr_assert_eq(fixture.clients.n, 2);
    cr_assert(acceptor_fixture_is_paused(&fixture));
    snapshot_fixture_connect(&fixture.net, 0);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, acceptor_next_deadline(&fixture.acceptor)), 0);
    cr_assert_eq(fake_logger.n, 0);

    /* The other workers are full now. */
    fixture.shared.max_connections = 2;
    uint64_t again = acceptor_next_deadline(&fixture.acceptor);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, again), 0);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, again), 0);
    cr_assert_eq(fake_logger.n, 1);
    cr_assert_eq(fake_logger.records[0].number, 1);
    acceptor_fixture_close(&fixture);
}

Test(acceptor_share, evicts_the_oldest_client_when_full)
{
    struct acceptor_fixture fixture;

    acceptor_fixture_open(&fixture, 1, 2);
    for (uint64_t i = 0; i < 5; i++) {
        snapshot_fixture_connect(&fixture.net, 0);
        cr_assert_eq(
            acceptor_fixture_run_once(&fixture, ACCEPTOR_FIXTURE_START + i * CONN_SOON_USEC), 0);
    }
    cr_assert_eq(fixture.clients.n, 2);
    cr_assert_eq(fake_logger.n, 3);
    for (size_t i = 0; i < 3; i++)
        cr_assert_eq(fake_logger.records[i].number, i + 1);
    cr_assert_not(acceptor_fixture_is_paused(&fixture));
    acceptor_fixture_close(&fixture);
}

Test(acceptor_share, pauses_while_full_until_a_client_ends)
{
    struct acceptor_fixture fixture;
    int first = acceptor_fixture_open_full(&fixture, 2);

    cr_assert(acceptor_fixture_is_paused(&fixture),
              "epoll must report the next client to another worker");
    int second = snapshot_fixture_connect(&fixture.net, 1);
    cr_assert_eq(acceptor_fixture_dispatch(&fixture, ACCEPTOR_FIXTURE_START), 0);
    /* It tries again soon, in case other workers are full; nothing has changed yet. */
    uint64_t again = acceptor_next_deadline(&fixture.acceptor);
    cr_assert_gt(again, ACCEPTOR_FIXTURE_START);
    cr_assert_eq(acceptor_run(&fixture.acceptor, again), 0);
    cr_assert(acceptor_fixture_is_paused(&fixture));
    cr_assert_eq(fixture.clients.n, 1);

    net_reset(first);
    NET_WAIT_UNTIL(
        (acceptor_fixture_dispatch(&fixture, ACCEPTOR_FIXTURE_START), fixture.clients.n == 0));
    cr_assert_eq(acceptor_run(&fixture.acceptor, ACCEPTOR_FIXTURE_START), 0);
    cr_assert_not(acceptor_fixture_is_paused(&fixture));
    snapshot_fixture_read_hello(second);
    acceptor_fixture_close(&fixture);
}

Test(acceptor_share, resumes_when_a_client_of_a_full_table_can_be_evicted)
{
    struct acceptor_fixture fixture;
    int first = acceptor_fixture_open_full(&fixture, 2);
    char *bytes = malloc(SNAPSHOT_FIXTURE_HUGE);

    int second = snapshot_fixture_connect(&fixture.net, 1);
    for (size_t n = 0; n < SNAPSHOT_FIXTURE_HUGE;) {
        net_wait(first, POLLIN);
        ssize_t r = recv(first, bytes + n, SNAPSHOT_FIXTURE_HUGE - n, 0);
        cr_assert_gt(r, 0);
        n += (size_t)r;
        cr_assert_eq(acceptor_fixture_run_once(&fixture, ACCEPTOR_FIXTURE_START), 0);
    }
    free(bytes);
    /* The first client has its greeting and lingers, so it can be evicted. */
    uint64_t again = acceptor_next_deadline(&fixture.acceptor);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, again), 0);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, again), 0);
    cr_assert_eq(fake_logger.n, 1);
    cr_assert_eq(fake_logger.records[0].number, 1);
    snapshot_fixture_read_hello(second);
    acceptor_fixture_close(&fixture);
}

/* Epoll may wake only this worker. Other workers would find the client only after some time. */
Test(acceptor_share, asks_other_workers_to_accept_when_it_has_no_room)
{
    struct acceptor_fixture fixture;

    acceptor_fixture_open(&fixture, 1, 2);
    acceptor_fixture_connect(&fixture, 2);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, ACCEPTOR_FIXTURE_START), 0);
    cr_assert_not(acceptor_fixture_is_paused(&fixture), "all places are taken, two can be evicted");
    fixture.shared.max_connections = 4;
    snapshot_fixture_connect(&fixture.net, 0);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, ACCEPTOR_FIXTURE_START), 0);
    cr_assert(acceptor_fixture_is_paused(&fixture));
    cr_assert_eq(acceptor_fixture_n_look_requests(&fixture), 1);

    /* One request is enough: while the worker is paused, epoll reports no client to it. */
    for (uint64_t i = 1; i < 4; i++) {
        cr_assert_eq(acceptor_fixture_run_once(&fixture, ACCEPTOR_FIXTURE_START + i * RETRY), 0);
        cr_assert(acceptor_fixture_is_paused(&fixture));
    }
    acceptor_look_again(&fixture.acceptor);
    cr_assert_eq(acceptor_run(&fixture.acceptor, ACCEPTOR_FIXTURE_START + 4 * RETRY), 0);
    cr_assert_eq(acceptor_fixture_n_look_requests(&fixture), 0);
    cr_assert_eq(fake_logger.n, 0);
    acceptor_fixture_close(&fixture);
}

Test(acceptor_share, asks_no_worker_when_the_queue_is_empty)
{
    struct acceptor_fixture fixture;

    acceptor_fixture_open(&fixture, 1, 2);
    fixture.shared.max_connections = 4;
    acceptor_fixture_connect(&fixture, 2);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, ACCEPTOR_FIXTURE_START), 0);
    cr_assert(acceptor_fixture_is_paused(&fixture));
    cr_assert_eq(acceptor_fixture_n_look_requests(&fixture), 0);
    acceptor_fixture_close(&fixture);
}

/* Epoll has not reported the client, and the worker is not paused. */
Test(acceptor_share, accepts_when_another_worker_asks)
{
    struct acceptor_fixture fixture;

    acceptor_fixture_open(&fixture, 2, 8);
    int client = snapshot_fixture_connect(&fixture.net, 1);
    acceptor_look_again(&fixture.acceptor);
    cr_assert_eq(acceptor_next_deadline(&fixture.acceptor), 0);
    cr_assert_eq(acceptor_run(&fixture.acceptor, ACCEPTOR_FIXTURE_START), 0);
    snapshot_fixture_read_hello(client);
    acceptor_fixture_close(&fixture);
}

/* Drops one client N times, in a table with one place. Stores in *RET_TURNS from which listener
 * each of these clients was accepted. */
static void take_turns(struct acceptor_fixture *fixture, size_t n, size_t *ret_turns)
{
    for (size_t i = 0; i < n; i++) {
        const uint64_t n_first = fixture->clients.newest->listeners[0].n_clients;
        cr_assert_eq(fixture->clients.n, 1);
        ret_turns[i] = n_first == 1 ? 0 : 1;
        clients_close_all(&fixture->clients, ACCEPTOR_FIXTURE_START);
        cr_assert_eq(acceptor_run(&fixture->acceptor, ACCEPTOR_FIXTURE_START), 0);
    }
}

Test(acceptor_share, accepts_from_each_listener_in_turn_while_places_are_few)
{
    struct acceptor_fixture fixture;
    size_t turns[6];

    acceptor_fixture_open_full(&fixture, 2);
    snapshot_fixture_make_huge(&fixture.net, 1);
    acceptor_fixture_connect(&fixture, 4);
    snapshot_fixture_connect(&fixture.net, 1);
    snapshot_fixture_connect(&fixture.net, 1);
    take_turns(&fixture, 6, turns);
    cr_assert_arr_eq(turns, ((size_t[]){0, 1, 0, 1, 0, 0}), sizeof(turns));
    acceptor_fixture_close(&fixture);
}

/* Slow clients of one listener must not block the clients of another. */
Test(acceptor_share, reserves_a_place_for_a_listener_without_clients)
{
    struct acceptor_fixture fixture;

    acceptor_fixture_open(&fixture, 2, 4);
    snapshot_fixture_make_huge(&fixture.net, 0);
    acceptor_fixture_connect(&fixture, 5);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, ACCEPTOR_FIXTURE_START), 0);
    cr_assert_eq(fixture.clients.n, 3);
    cr_assert(acceptor_fixture_is_paused(&fixture));
    int client = snapshot_fixture_connect(&fixture.net, 1);
    cr_assert_eq(acceptor_fixture_dispatch(&fixture, ACCEPTOR_FIXTURE_START), 1,
                 "this listener is not paused");
    cr_assert_eq(acceptor_run(&fixture.acceptor, ACCEPTOR_FIXTURE_START), 0);
    cr_assert_eq(fixture.clients.n, 4);
    snapshot_fixture_read_hello(client);
    acceptor_fixture_close(&fixture);
}

/* Only the reserved place is free when a fourth client connects to the first listener. */
Test(acceptor_share, evicts_a_client_if_only_a_reserved_place_is_free)
{
    struct acceptor_fixture fixture;

    acceptor_fixture_open(&fixture, 2, 4);
    acceptor_fixture_connect(&fixture, 4);
    NET_WAIT_UNTIL(
        (acceptor_fixture_run_once(&fixture, ACCEPTOR_FIXTURE_START), fake_logger.n > 0));
    cr_assert_eq(fixture.clients.n, 3);
    cr_assert_eq(fake_logger.records[0].number, 1);
    snapshot_fixture_connect(&fixture.net, 1);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, ACCEPTOR_FIXTURE_START), 0);
    cr_assert_eq(fixture.clients.n, 4);
    cr_assert_eq(fake_logger.n, 1);
    acceptor_fixture_close(&fixture);
}
