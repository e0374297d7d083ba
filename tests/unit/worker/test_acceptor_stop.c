/* SPDX-License-Identifier: MIT */

/* Tests of an acceptor that stops: at once, or when its queues are empty. */

#include <criterion/criterion.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "support/acceptor_fixture.h"
#include "support/fake_logger.h"
#include "support/net.h"
#include "support/snapshot_fixture.h"

#include "greetd/base/clock.h"

#define START ACCEPTOR_FIXTURE_START

TestSuite(acceptor_stop, .timeout = 60);

Test(acceptor_stop, leaves_the_queue_to_the_next_process)
{
    struct acceptor_fixture fixture;

    acceptor_fixture_open(&fixture, 1, 8);
    snapshot_fixture_connect(&fixture.net, 0);
    cr_assert_eq(acceptor_fixture_dispatch(&fixture, START), 1);
    cr_assert(acceptor_is_open(&fixture.acceptor));
    acceptor_fixture_stop_handed_on(&fixture);
    cr_assert_not(acceptor_is_open(&fixture.acceptor));

    cr_assert_eq(acceptor_run(&fixture.acceptor, START), 0);
    cr_assert_eq(acceptor_fixture_dispatch(&fixture, START), 0);
    cr_assert_eq(fixture.clients.n, 0);
    cr_assert_eq(acceptor_next_deadline(&fixture.acceptor), USEC_INFINITY);
    cr_assert_geq(accept(fixture.net.listeners[0].fd, NULL, NULL), 0);
    acceptor_fixture_close(&fixture);
}

Test(acceptor_stop, stays_stopped_after_a_pause)
{
    struct acceptor_fixture fixture;
    int first = acceptor_fixture_open_full(&fixture, 2);

    acceptor_fixture_stop_handed_on(&fixture);
    snapshot_fixture_connect(&fixture.net, 1);
    net_reset(first);
    NET_WAIT_UNTIL((acceptor_fixture_dispatch(&fixture, START), fixture.clients.n == 0));
    cr_assert_eq(acceptor_fixture_run_once(&fixture, START), 0);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, START), 0);
    cr_assert_eq(fixture.clients.n, 0);
    cr_assert_not(acceptor_is_open(&fixture.acceptor));
    acceptor_fixture_close(&fixture);
}

Test(acceptor_stop, closes_at_once_if_the_queue_is_empty)
{
    struct acceptor_fixture fixture;

    acceptor_fixture_open(&fixture, 2, 8);
    acceptor_stop(&fixture.acceptor);
    cr_assert(acceptor_is_open(&fixture.acceptor));
    cr_assert_eq(acceptor_next_deadline(&fixture.acceptor), 0);
    cr_assert_eq(acceptor_run(&fixture.acceptor, START), 0);
    cr_assert_not(acceptor_is_open(&fixture.acceptor));
    acceptor_fixture_close(&fixture);
}

Test(acceptor_stop, closes_each_listener_when_its_queue_is_empty)
{
    struct acceptor_fixture fixture;

    acceptor_fixture_open(&fixture, 2, 64);
    acceptor_fixture_connect(&fixture, ACCEPTOR_FIXTURE_BATCH);
    acceptor_stop(&fixture.acceptor);
    cr_assert_eq(acceptor_run(&fixture.acceptor, START), 0);
    cr_assert_eq(fixture.clients.n, ACCEPTOR_FIXTURE_BATCH);
    cr_assert(fixture.clients.newest->listeners[0].open, "one more client may be pending");
    cr_assert_not(fixture.clients.newest->listeners[1].open);

    snapshot_fixture_connect(&fixture.net, 0);
    cr_assert_eq(acceptor_run(&fixture.acceptor, START), 0);
    cr_assert_eq(fixture.clients.n, ACCEPTOR_FIXTURE_BATCH + 1);
    cr_assert_not(acceptor_is_open(&fixture.acceptor));
    acceptor_fixture_close(&fixture);
}

Test(acceptor_stop, accepts_all_pending_clients_after_a_pause)
{
    struct acceptor_fixture fixture;
    int first = acceptor_fixture_open_full(&fixture, 2);
    int second = snapshot_fixture_connect(&fixture.net, 1);

    acceptor_stop(&fixture.acceptor);
    cr_assert_eq(acceptor_run(&fixture.acceptor, START), 0);
    cr_assert(acceptor_is_open(&fixture.acceptor));

    net_reset(first);
    NET_WAIT_UNTIL((acceptor_fixture_dispatch(&fixture, START), fixture.clients.n == 0));
    for (int round = 0; acceptor_is_open(&fixture.acceptor); round++) {
        cr_assert_lt(round, 4);
        cr_assert_eq(acceptor_fixture_run_once(&fixture, START), 0);
    }
    snapshot_fixture_read_hello(second);
    acceptor_fixture_close(&fixture);
}

Test(acceptor_stop, closes_if_another_process_empties_the_queue_during_a_pause)
{
    struct acceptor_fixture fixture;
    int first = acceptor_fixture_open_full(&fixture, 2);

    snapshot_fixture_connect(&fixture.net, 1);
    acceptor_stop(&fixture.acceptor);
    cr_assert_geq(accept(fixture.net.listeners[1].fd, NULL, NULL), 0);
    net_reset(first);
    NET_WAIT_UNTIL((acceptor_fixture_dispatch(&fixture, START), fixture.clients.n == 0));
    cr_assert_eq(acceptor_fixture_run_once(&fixture, START), 0);
    cr_assert_not(acceptor_is_open(&fixture.acceptor));
    acceptor_fixture_close(&fixture);
}
