/* SPDX-License-Identifier: MIT */

/* How an acceptor comes to its end: at once, or when the queues are empty. */

#include <criterion/criterion.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "support/acceptor_fixture.h"
#include "support/fake_logger.h"
#include "support/net.h"
#include "support/snapshot_fixture.h"

#define START ACCEPTING_START

TestSuite(acceptor_stop, .timeout = 60);

Test(acceptor_stop, leaves_the_queue_to_others)
{
    struct accepting scene;

    accepting_open(&scene, 1, 8);
    place_connect(&scene.place, 0);
    cr_assert_eq(accepting_hear(&scene, START), 1);
    cr_assert(acceptor_is_open(&scene.acceptor));
    accepting_leave(&scene);
    cr_assert_not(acceptor_is_open(&scene.acceptor));

    cr_assert_eq(acceptor_run(&scene.acceptor, START), 0);
    cr_assert_eq(accepting_hear(&scene, START), 0);
    cr_assert_eq(scene.clients.n, 0);
    cr_assert_eq(acceptor_next_deadline(&scene.acceptor), DEADLINE_NEVER);
    cr_assert_geq(accept(scene.place.listeners[0].fd, NULL, NULL), 0);
    accepting_close(&scene);
}

Test(acceptor_stop, stays_stopped_though_it_was_paused)
{
    struct accepting scene;
    int first = accepting_fill(&scene, 2);

    accepting_leave(&scene);
    place_connect(&scene.place, 1);
    net_reset(first);
    NET_WAIT_UNTIL((accepting_hear(&scene, START), scene.clients.n == 0));
    cr_assert_eq(accepting_go_round(&scene, START), 0);
    cr_assert_eq(accepting_go_round(&scene, START), 0);
    cr_assert_eq(scene.clients.n, 0);
    cr_assert_not(acceptor_is_open(&scene.acceptor));
    accepting_close(&scene);
}

Test(acceptor_stop, lets_go_at_once_of_a_queue_that_is_empty)
{
    struct accepting scene;

    accepting_open(&scene, 2, 8);
    acceptor_stop(&scene.acceptor);
    cr_assert(acceptor_is_open(&scene.acceptor));
    cr_assert_eq(acceptor_next_deadline(&scene.acceptor), 0);
    cr_assert_eq(acceptor_run(&scene.acceptor, START), 0);
    cr_assert_not(acceptor_is_open(&scene.acceptor));
    accepting_close(&scene);
}

Test(acceptor_stop, lets_go_of_a_queue_exactly_when_it_is_empty)
{
    struct accepting scene;

    accepting_open(&scene, 2, 64);
    accepting_connect(&scene, ACCEPTING_BATCH);
    acceptor_stop(&scene.acceptor);
    cr_assert_eq(acceptor_run(&scene.acceptor, START), 0);
    cr_assert_eq(scene.clients.n, ACCEPTING_BATCH);
    cr_assert(scene.clients.newest->lanes[0].open, "there may be one more");
    cr_assert_not(scene.clients.newest->lanes[1].open);

    place_connect(&scene.place, 0);
    cr_assert_eq(acceptor_run(&scene.acceptor, START), 0);
    cr_assert_eq(scene.clients.n, ACCEPTING_BATCH + 1);
    cr_assert_not(acceptor_is_open(&scene.acceptor));
    accepting_close(&scene);
}

Test(acceptor_stop, empties_the_queue_after_a_pause)
{
    struct accepting scene;
    int first = accepting_fill(&scene, 2);
    int second = place_connect(&scene.place, 1);

    acceptor_stop(&scene.acceptor);
    cr_assert_eq(acceptor_run(&scene.acceptor, START), 0);
    cr_assert(acceptor_is_open(&scene.acceptor));

    net_reset(first);
    NET_WAIT_UNTIL((accepting_hear(&scene, START), scene.clients.n == 0));
    for (int round = 0; acceptor_is_open(&scene.acceptor); round++) {
        cr_assert_lt(round, 4);
        cr_assert_eq(accepting_go_round(&scene, START), 0);
    }
    place_read_hello(second);
    accepting_close(&scene);
}

Test(acceptor_stop, finds_a_queue_empty_that_another_has_emptied_during_a_pause)
{
    struct accepting scene;
    int first = accepting_fill(&scene, 2);

    place_connect(&scene.place, 1);
    acceptor_stop(&scene.acceptor);
    cr_assert_geq(accept(scene.place.listeners[1].fd, NULL, NULL), 0);
    net_reset(first);
    NET_WAIT_UNTIL((accepting_hear(&scene, START), scene.clients.n == 0));
    cr_assert_eq(accepting_go_round(&scene, START), 0);
    cr_assert_not(acceptor_is_open(&scene.acceptor));
    accepting_close(&scene);
}
