/* SPDX-License-Identifier: MIT */

/* How acceptors share MaxConnections= with other workers, and listeners the places of one. */

#include <criterion/criterion.h>

#include "support/acceptor_fixture.h"
#include "support/fake_logger.h"

#define RETRY 20000

TestSuite(acceptor_share, .timeout = 60);

/* Then it is their turn, and whoever has been greeted here may stay. */
Test(acceptor_share, leaves_newcomers_to_others_while_these_have_room)
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

    /* Another worker has taken as many by now. */
    fixture.shared.max_connections = 2;
    uint64_t again = acceptor_next_deadline(&fixture.acceptor);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, again), 0);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, again), 0);
    cr_assert_eq(fake_logger.n, 1);
    cr_assert_eq(fake_logger.records[0].number, 1);
    acceptor_fixture_close(&fixture);
}

Test(acceptor_share, lets_the_oldest_go_when_full)
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

Test(acceptor_share, pauses_while_full_and_goes_on_when_someone_has_gone)
{
    struct acceptor_fixture fixture;
    int first = acceptor_fixture_open_full(&fixture, 2);

    cr_assert(acceptor_fixture_is_paused(&fixture), "another worker must hear of the next one");
    int second = snapshot_fixture_connect(&fixture.net, 1);
    cr_assert_eq(acceptor_fixture_dispatch(&fixture, ACCEPTOR_FIXTURE_START), 0);
    /* Looks again before long, in case others have filled up; here nothing has changed by then. */
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

Test(acceptor_share, goes_on_when_a_client_of_a_full_table_can_be_let_go)
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
    /* The first one has its greeting and stays: it has to make room. */
    uint64_t again = acceptor_next_deadline(&fixture.acceptor);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, again), 0);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, again), 0);
    cr_assert_eq(fake_logger.n, 1);
    cr_assert_eq(fake_logger.records[0].number, 1);
    snapshot_fixture_read_hello(second);
    acceptor_fixture_close(&fixture);
}

/* Epoll has woken this worker alone: without a word nobody would take that client before some time
 * has passed. */
Test(acceptor_share, asks_others_to_take_a_client_that_it_leaves_to_them)
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

    /* Once is enough: while it is paused epoll announces no client to it. */
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

Test(acceptor_share, asks_nobody_when_the_queue_is_empty)
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

/* Though epoll has announced nothing, and this worker has not paused. */
Test(acceptor_share, looks_again_when_another_asks_for_it)
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

/* Ends one client after the other, with a place for only one, and returns which listener each of
 * the others came to. */
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

Test(acceptor_share, gives_each_listener_its_turn_while_places_are_few)
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

/* Slow clients of one listener must not shut out those of another. */
Test(acceptor_share, keeps_a_place_for_a_listener_that_has_no_client)
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

/* With the last of the other places a lingering client is evicted. */
Test(acceptor_share, evicts_where_only_a_kept_place_is_free)
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
