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
    struct accepting scene;

    accepting_open(&scene, 1, 2);
    scene.shared.max_connections = 4;
    accepting_connect(&scene, 2);
    cr_assert_eq(accepting_go_round(&scene, ACCEPTING_START), 0);
    cr_assert_eq(scene.clients.n, 2);
    cr_assert(accepting_is_paused(&scene));
    place_connect(&scene.place, 0);
    cr_assert_eq(accepting_go_round(&scene, acceptor_next_deadline(&scene.acceptor)), 0);
    cr_assert_eq(told.n, 0);

    /* Another worker has taken as many by now. */
    scene.shared.max_connections = 2;
    uint64_t again = acceptor_next_deadline(&scene.acceptor);
    cr_assert_eq(accepting_go_round(&scene, again), 0);
    cr_assert_eq(accepting_go_round(&scene, again), 0);
    cr_assert_eq(told.n, 1);
    cr_assert_eq(told.stories[0].number, 1);
    accepting_close(&scene);
}

Test(acceptor_share, lets_the_oldest_go_when_full)
{
    struct accepting scene;

    accepting_open(&scene, 1, 2);
    for (uint64_t i = 0; i < 5; i++) {
        place_connect(&scene.place, 0);
        cr_assert_eq(accepting_go_round(&scene, ACCEPTING_START + i * CONN_SOON_USEC), 0);
    }
    cr_assert_eq(scene.clients.n, 2);
    cr_assert_eq(told.n, 3);
    for (size_t i = 0; i < 3; i++)
        cr_assert_eq(told.stories[i].number, i + 1);
    cr_assert_not(accepting_is_paused(&scene));
    accepting_close(&scene);
}

Test(acceptor_share, pauses_while_full_and_goes_on_when_someone_has_gone)
{
    struct accepting scene;
    int first = accepting_fill(&scene, 2);

    cr_assert(accepting_is_paused(&scene), "another worker must hear of the next one");
    int second = place_connect(&scene.place, 1);
    cr_assert_eq(accepting_hear(&scene, ACCEPTING_START), 0);
    /* Looks again before long, in case others have filled up; here nothing has changed by then. */
    uint64_t again = acceptor_next_deadline(&scene.acceptor);
    cr_assert_gt(again, ACCEPTING_START);
    cr_assert_eq(acceptor_run(&scene.acceptor, again), 0);
    cr_assert(accepting_is_paused(&scene));
    cr_assert_eq(scene.clients.n, 1);

    net_reset(first);
    NET_WAIT_UNTIL((accepting_hear(&scene, ACCEPTING_START), scene.clients.n == 0));
    cr_assert_eq(acceptor_run(&scene.acceptor, ACCEPTING_START), 0);
    cr_assert_not(accepting_is_paused(&scene));
    place_read_hello(second);
    accepting_close(&scene);
}

Test(acceptor_share, goes_on_when_a_client_of_a_full_table_can_be_let_go)
{
    struct accepting scene;
    int first = accepting_fill(&scene, 2);
    char *bytes = malloc(PLACE_HUGE);

    int second = place_connect(&scene.place, 1);
    for (size_t n = 0; n < PLACE_HUGE;) {
        net_wait(first, POLLIN);
        ssize_t r = recv(first, bytes + n, PLACE_HUGE - n, 0);
        cr_assert_gt(r, 0);
        n += (size_t)r;
        cr_assert_eq(accepting_go_round(&scene, ACCEPTING_START), 0);
    }
    free(bytes);
    /* The first one has its greeting and stays: it has to make room. */
    uint64_t again = acceptor_next_deadline(&scene.acceptor);
    cr_assert_eq(accepting_go_round(&scene, again), 0);
    cr_assert_eq(accepting_go_round(&scene, again), 0);
    cr_assert_eq(told.n, 1);
    cr_assert_eq(told.stories[0].number, 1);
    place_read_hello(second);
    accepting_close(&scene);
}

/* Epoll has woken this worker alone: without a word nobody would take that client before some time
 * has passed. */
Test(acceptor_share, asks_others_to_take_a_client_that_it_leaves_to_them)
{
    struct accepting scene;

    accepting_open(&scene, 1, 2);
    accepting_connect(&scene, 2);
    cr_assert_eq(accepting_go_round(&scene, ACCEPTING_START), 0);
    cr_assert_not(accepting_is_paused(&scene), "all places are taken, two can be evicted");
    scene.shared.max_connections = 4;
    place_connect(&scene.place, 0);
    cr_assert_eq(accepting_go_round(&scene, ACCEPTING_START), 0);
    cr_assert(accepting_is_paused(&scene));
    cr_assert_eq(accepting_n_asked(&scene), 1);

    /* Once is enough: while it is paused epoll announces no client to it. */
    for (uint64_t i = 1; i < 4; i++) {
        cr_assert_eq(accepting_go_round(&scene, ACCEPTING_START + i * RETRY), 0);
        cr_assert(accepting_is_paused(&scene));
    }
    acceptor_look_again(&scene.acceptor);
    cr_assert_eq(acceptor_run(&scene.acceptor, ACCEPTING_START + 4 * RETRY), 0);
    cr_assert_eq(accepting_n_asked(&scene), 0);
    cr_assert_eq(told.n, 0);
    accepting_close(&scene);
}

Test(acceptor_share, asks_nobody_when_the_queue_is_empty)
{
    struct accepting scene;

    accepting_open(&scene, 1, 2);
    scene.shared.max_connections = 4;
    accepting_connect(&scene, 2);
    cr_assert_eq(accepting_go_round(&scene, ACCEPTING_START), 0);
    cr_assert(accepting_is_paused(&scene));
    cr_assert_eq(accepting_n_asked(&scene), 0);
    accepting_close(&scene);
}

/* Though epoll has announced nothing, and this worker has not paused. */
Test(acceptor_share, looks_again_when_another_asks_for_it)
{
    struct accepting scene;

    accepting_open(&scene, 2, 8);
    int client = place_connect(&scene.place, 1);
    acceptor_look_again(&scene.acceptor);
    cr_assert_eq(acceptor_next_deadline(&scene.acceptor), 0);
    cr_assert_eq(acceptor_run(&scene.acceptor, ACCEPTING_START), 0);
    place_read_hello(client);
    accepting_close(&scene);
}

/* Ends one client after the other, with a place for only one, and returns which listener each of
 * the others came to. */
static void take_turns(struct accepting *scene, size_t n, size_t *ret_turns)
{
    for (size_t i = 0; i < n; i++) {
        const uint64_t n_first = scene->clients.newest->lanes[0].n_clients;
        cr_assert_eq(scene->clients.n, 1);
        ret_turns[i] = n_first == 1 ? 0 : 1;
        clients_abandon(&scene->clients, ACCEPTING_START);
        cr_assert_eq(acceptor_run(&scene->acceptor, ACCEPTING_START), 0);
    }
}

Test(acceptor_share, gives_each_listener_its_turn_while_places_are_few)
{
    struct accepting scene;
    size_t turns[6];

    accepting_fill(&scene, 2);
    place_make_huge(&scene.place, 1);
    accepting_connect(&scene, 4);
    place_connect(&scene.place, 1);
    place_connect(&scene.place, 1);
    take_turns(&scene, 6, turns);
    cr_assert_arr_eq(turns, ((size_t[]){0, 1, 0, 1, 0, 0}), sizeof(turns));
    accepting_close(&scene);
}

/* Slow clients of one listener must not shut out those of another. */
Test(acceptor_share, keeps_a_place_for_a_listener_that_has_no_client)
{
    struct accepting scene;

    accepting_open(&scene, 2, 4);
    place_make_huge(&scene.place, 0);
    accepting_connect(&scene, 5);
    cr_assert_eq(accepting_go_round(&scene, ACCEPTING_START), 0);
    cr_assert_eq(scene.clients.n, 3);
    cr_assert(accepting_is_paused(&scene));
    int client = place_connect(&scene.place, 1);
    cr_assert_eq(accepting_hear(&scene, ACCEPTING_START), 1, "this listener is not paused");
    cr_assert_eq(acceptor_run(&scene.acceptor, ACCEPTING_START), 0);
    cr_assert_eq(scene.clients.n, 4);
    place_read_hello(client);
    accepting_close(&scene);
}

/* With the last of the other places a lingering client is evicted. */
Test(acceptor_share, evicts_where_only_a_kept_place_is_free)
{
    struct accepting scene;

    accepting_open(&scene, 2, 4);
    accepting_connect(&scene, 4);
    NET_WAIT_UNTIL((accepting_go_round(&scene, ACCEPTING_START), told.n > 0));
    cr_assert_eq(scene.clients.n, 3);
    cr_assert_eq(told.stories[0].number, 1);
    place_connect(&scene.place, 1);
    cr_assert_eq(accepting_go_round(&scene, ACCEPTING_START), 0);
    cr_assert_eq(scene.clients.n, 4);
    cr_assert_eq(told.n, 1);
    accepting_close(&scene);
}
