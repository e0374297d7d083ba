/* SPDX-License-Identifier: MIT */

/* Tests of an acceptor that has one of the shards of an address, and other workers the others. */

#include <criterion/criterion.h>

#include "support/acceptor_fixture.h"
#include "support/fake_logger.h"

#define START ACCEPTOR_FIXTURE_START
#define RETRY 20000

TestSuite(acceptor_shards, .timeout = 60);

Test(acceptor_shards, accepts_only_from_its_own)
{
    struct acceptor_fixture fixture;

    acceptor_fixture_open_shards(&fixture, 2, 8);
    int own = snapshot_fixture_connect(&fixture.net, 0);
    snapshot_fixture_connect(&fixture.net, 1);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, START), 0);
    cr_assert_eq(fixture.clients.n, 1);
    snapshot_fixture_read_hello(own);
    cr_assert_eq(acceptor_next_deadline(&fixture.acceptor), USEC_INFINITY);
    acceptor_fixture_close(&fixture);
}

Test(acceptor_shards, accepts_from_all_when_another_worker_asks)
{
    struct acceptor_fixture fixture;

    acceptor_fixture_open_shards(&fixture, 3, 64);
    for (size_t i = 0; i < ACCEPTOR_FIXTURE_BATCH + 1; i++) {
        snapshot_fixture_connect(&fixture.net, 1);
        snapshot_fixture_connect(&fixture.net, 2);
    }
    int own = snapshot_fixture_connect(&fixture.net, 0);
    acceptor_look_again(&fixture.acceptor);
    while (acceptor_next_deadline(&fixture.acceptor) == 0)
        cr_assert_eq(acceptor_run(&fixture.acceptor, START), 0);
    cr_assert_eq(fixture.clients.n, 2 * ACCEPTOR_FIXTURE_BATCH + 3);
    cr_assert_eq(fixture.clients.newest->listeners[0].n_clients, fixture.clients.n,
                 "they are clients of the same address");
    snapshot_fixture_read_hello(own);

    snapshot_fixture_connect(&fixture.net, 1);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, START), 0);
    cr_assert(socket_is_readable(fixture.net.listeners[1].fd), "it was asked only once");
    acceptor_fixture_close(&fixture);
}

/* Opens two shards, of which the worker has one, and gives its only place to a client. */
static void open_full(struct acceptor_fixture *fixture)
{
    acceptor_fixture_open_shards(fixture, 2, 1);
    fixture->shared.max_connections = 2;
    acceptor_fixture_connect(fixture, 1);
    cr_assert_eq(acceptor_fixture_run_once(fixture, START), 0);
    cr_assert(acceptor_fixture_is_paused(fixture));
}

/* No other worker is woken for the clients of this shard. */
Test(acceptor_shards, asks_other_workers_while_clients_wait_that_it_has_no_room_for)
{
    struct acceptor_fixture fixture;

    open_full(&fixture);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, START + RETRY), 0);
    cr_assert_eq(acceptor_fixture_n_look_requests(&fixture), 0, "no client waits");

    acceptor_fixture_connect(&fixture, 1);
    for (uint64_t i = 2; i < 5; i++) {
        cr_assert_eq(acceptor_fixture_run_once(&fixture, START + i * RETRY), 0);
        cr_assert_eq(acceptor_fixture_n_look_requests(&fixture), 1);
        /* Its own request wakes it, too. */
        acceptor_look_again(&fixture.acceptor);
        cr_assert_eq(acceptor_fixture_run_once(&fixture, START + i * RETRY + RETRY / 2), 0);
        cr_assert_eq(acceptor_fixture_n_look_requests(&fixture), 0, "one is enough for a while");
    }
    cr_assert_eq(fixture.clients.n, 1);
    cr_assert_eq(fake_logger.n, 0, "the other worker has room");
    acceptor_fixture_close(&fixture);
}

/* A hundred workers would wake each other ten thousand times. */
Test(acceptor_shards, one_worker_asks_for_all)
{
    struct acceptor_fixture fixture;

    open_full(&fixture);
    acceptor_fixture_connect(&fixture, 1);
    fixture.shared.asked_usec = START + RETRY / 2;
    cr_assert_eq(acceptor_fixture_run_once(&fixture, START + RETRY), 0);
    cr_assert_eq(acceptor_fixture_n_look_requests(&fixture), 0, "another worker has just asked");
    cr_assert_eq(acceptor_fixture_run_once(&fixture, START + 2 * RETRY), 0);
    cr_assert_eq(acceptor_fixture_n_look_requests(&fixture), 1);
    acceptor_fixture_close(&fixture);
}

Test(acceptor_shards, a_full_worker_takes_no_client_of_another_shard)
{
    struct acceptor_fixture fixture;

    acceptor_fixture_open_shards(&fixture, 2, 1);
    fixture.shared.max_connections = 2;
    acceptor_fixture_connect(&fixture, 1);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, START), 0);
    snapshot_fixture_connect(&fixture.net, 1);
    acceptor_look_again(&fixture.acceptor);
    cr_assert_eq(acceptor_run(&fixture.acceptor, START), 0);
    cr_assert_eq(fixture.clients.n, 1);
    cr_assert(socket_is_readable(fixture.net.listeners[1].fd));
    acceptor_fixture_close(&fixture);
}

/* The worker of the other shard may have no room before greetd is to end. */
Test(acceptor_shards, drains_all_and_evicts_for_that)
{
    struct acceptor_fixture fixture;

    acceptor_fixture_open_shards(&fixture, 2, 2);
    fixture.shared.max_connections = 4;
    acceptor_fixture_connect(&fixture, 5);
    snapshot_fixture_connect(&fixture.net, 1);
    acceptor_stop(&fixture.acceptor);
    acceptor_look_again(&fixture.acceptor);
    for (uint64_t i = 0; acceptor_is_open(&fixture.acceptor); i++)
        cr_assert_eq(acceptor_fixture_run_once(&fixture, START + i * CONN_SOON_USEC), 0);
    cr_assert_eq(fixture.clients.n + fake_logger.n, 6);
    cr_assert_not(listener_in_use(&fixture.net.listeners[0]));
    cr_assert_not(socket_is_readable(fixture.net.listeners[1].fd));
    acceptor_fixture_close(&fixture);
}

Test(acceptor_shards, does_not_drain_those_that_the_next_process_gets)
{
    struct acceptor_fixture fixture;

    snapshot_fixture_open(&fixture.net, 2);
    snapshot_join_shards(fixture.net.snapshot, 0, true);
    acceptor_fixture_start(&fixture, 1, 8);
    fixture.net.listeners[0].handed_on = true;
    snapshot_fixture_connect(&fixture.net, 0);
    snapshot_fixture_connect(&fixture.net, 1);
    acceptor_stop(&fixture.acceptor);
    while (acceptor_is_open(&fixture.acceptor))
        cr_assert_eq(acceptor_fixture_run_once(&fixture, START), 0);
    cr_assert_eq(fixture.clients.n, 1);
    cr_assert(socket_is_readable(fixture.net.listeners[0].fd));
    acceptor_fixture_close(&fixture);
}

/* Has the first of two workers, which has accepted from both shards, adopt a generation in which
 * each has its own. Returns whether it asks the others to look. */
static bool asks_when_it_leaves(struct acceptor_fixture *fixture, size_t n_clients)
{
    struct generation *generation;

    snapshot_fixture_open(&fixture->net, 2);
    snapshot_join_shards(fixture->net.snapshot, 0, false);
    acceptor_fixture_start(fixture, 2, 8);
    snapshot_join_shards(fixture->net.snapshot, 0, true);
    cr_assert_eq(generation_new(&generation, fixture->net.snapshot, fixture->shared.metrics, 0), 0);
    cr_assert_eq(generation->n_listeners, 1);
    listener_use(&fixture->net.listeners[0], 1);
    for (size_t i = 0; i < n_clients; i++)
        snapshot_fixture_connect(&fixture->net, i);
    cr_assert_eq(acceptor_adopt(&fixture->acceptor, generation), 0);
    return acceptor_fixture_n_look_requests(fixture) > 0;
}

/* Epoll may have reported a client to this worker alone, and the shard is another's now. */
Test(acceptor_shards, asks_other_workers_to_look_when_it_leaves_a_client_to_them)
{
    struct acceptor_fixture fixture;

    cr_assert(asks_when_it_leaves(&fixture, 2));
    cr_assert_eq(acceptor_fixture_run_once(&fixture, START), 0);
    cr_assert_eq(fixture.clients.n, 1, "that of its own shard");
    acceptor_fixture_close(&fixture);
}

/* With many workers and shards, all of them would look into all queues for each worker. */
Test(acceptor_shards, asks_no_worker_to_look_when_no_client_waits_for_another)
{
    for (size_t n_clients = 0; n_clients < 2; n_clients++) {
        struct acceptor_fixture fixture;

        cr_assert_not(asks_when_it_leaves(&fixture, n_clients));
        acceptor_fixture_close(&fixture);
    }
}
