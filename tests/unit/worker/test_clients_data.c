/* SPDX-License-Identifier: MIT */

/* The queue of those who are to speak before they are greeted: GreetOn=data. */

#include <criterion/criterion.h>
#include <sys/epoll.h>

#include "greetd/base/cleanup.h"
#include "support/acceptor_fixture.h"
#include "support/fake_logger.h"

#define START   ACCEPTING_START
#define TIMEOUT (5 * PLACE_SECOND)

TestSuite(clients_data, .timeout = 60);

/* Endpoints whose clients are to speak, the first within TIMEOUT, and then the usual clients. */
static void expect_data(struct accepting *a, size_t n_endpoints, size_t capacity)
{
    accepting_open(a, n_endpoints, capacity);
    for (size_t i = 0; i < n_endpoints; i++) {
        a->clients.newest->lanes[i].terms.expects_data = true;
        a->clients.newest->lanes[i].terms.data_timeout_usec = (i + 1) * TIMEOUT;
    }
}

static void speak(struct accepting *a, size_t place, int client)
{
    net_chatter(client, 1);
    net_wait(a->clients.table[place].fd, POLLIN);
}

Test(clients_data, are_greeted_when_they_speak)
{
    struct accepting a;

    expect_data(&a, 1, 4);
    int client = place_connect(&a.place, 0);
    cr_assert_eq(accepting_go_round(&a, START), 0);
    cr_assert_eq(clients_next_deadline(&a.clients), START + TIMEOUT);
    cr_assert(a.clients.table[0].watched);
    speak(&a, 0, client);
    cr_assert_eq(accepting_go_round(&a, START + PLACE_SECOND), 0);
    cr_assert_eq(clients_next_deadline(&a.clients), START + PLACE_SECOND + CONN_SOON_USEC);
    cr_assert_not(a.clients.table[0].watched);
    place_read_hello(client);
    accepting_close(&a);
}

Test(clients_data, who_have_spoken_already_are_greeted_without_epoll)
{
    struct accepting a;

    expect_data(&a, 1, 4);
    int client = place_connect(&a.place, 0);
    net_chatter(client, 1);
    NET_WAIT_UNTIL(net_outstanding(client) == 0);
    cr_assert_eq(accepting_go_round(&a, START), 0);
    cr_assert_eq(clients_next_deadline(&a.clients), START + CONN_SOON_USEC);
    cr_assert_not(a.clients.table[0].watched);
    place_read_hello(client);
    accepting_close(&a);
}

Test(clients_data, who_never_speak_are_let_go_when_their_time_is_over)
{
    struct accepting a;

    expect_data(&a, 2, 4);
    place_connect(&a.place, 1);
    cr_assert_eq(accepting_go_round(&a, START), 0);
    place_connect(&a.place, 0);
    cr_assert_eq(accepting_go_round(&a, START + 1), 0);
    clients_expire(&a.clients, START + TIMEOUT);
    cr_assert_eq(a.clients.n, 2);
    clients_expire(&a.clients, START + TIMEOUT + 1);
    cr_assert_eq(a.clients.n, 1);
    cr_assert_eq(told.stories[0].number, 2);
    cr_assert_eq(told.stories[0].result, RESULT_TIMEOUT);
    cr_assert_eq(clients_next_deadline(&a.clients), START + 2 * TIMEOUT);
    clients_expire(&a.clients, START + 2 * TIMEOUT);
    cr_assert_eq(a.clients.n, 0);
    accepting_close(&a);
}

/* The worker may have been kept from its loop, and epoll tells only of so many at a time. */
Test(clients_data, who_have_spoken_in_time_are_greeted_however_late_it_is_seen)
{
    struct accepting a;

    expect_data(&a, 1, 4);
    int client = place_connect(&a.place, 0);
    cr_assert_eq(accepting_go_round(&a, START), 0);
    speak(&a, 0, client);
    clients_expire(&a.clients, START + 10 * TIMEOUT);
    cr_assert_eq(a.clients.n, 1);
    place_read_hello(client);
    accepting_close(&a);
}

Test(clients_data, who_keep_silent_make_room_for_the_next_the_oldest_first)
{
    struct accepting a;
    int next;

    expect_data(&a, 2, 2);
    place_connect(&a.place, 1);
    cr_assert_eq(accepting_go_round(&a, START), 0);
    place_connect(&a.place, 0);
    cr_assert_eq(accepting_go_round(&a, START + 1), 0);
    cr_assert(clients_can_evict(&a.clients, START + 1));
    for (uint64_t i = 1; i <= 3; i++) {
        next = place_connect(&a.place, i % 2);
        cr_assert_eq(accepting_go_round(&a, START + 1 + i), 0);
        cr_assert_eq(told.n, i);
        cr_assert_eq(told.stories[i - 1].number, i);
        cr_assert_eq(told.stories[i - 1].result, RESULT_PARTIAL);
        cr_assert_eq(a.clients.n, 2);
    }
    net_chatter(next, 1);
    NET_WAIT_UNTIL((accepting_go_round(&a, START + 9),
                    clients_next_deadline(&a.clients) == START + 9 + CONN_SOON_USEC));
    place_read_hello(next);
    accepting_close(&a);
}

Test(clients_data, who_keep_silent_stay_if_someone_lingers)
{
    struct accepting a;

    expect_data(&a, 2, 2);
    a.clients.newest->lanes[1].terms.expects_data = false;
    place_connect(&a.place, 0);
    cr_assert_eq(accepting_go_round(&a, START), 0);
    int lingering = place_connect(&a.place, 1);
    cr_assert_eq(accepting_go_round(&a, START + 1), 0);
    place_read_hello(dup(lingering));
    NET_WAIT_UNTIL(net_outstanding(a.clients.table[1].fd) == 0);
    clients_expire(&a.clients, START + 1 + CONN_SOON_USEC);
    cr_assert(clients_evict_oldest(&a.clients, START + PLACE_SECOND));
    cr_assert_eq(told.stories[0].number, 2);
    cr_assert(clients_evict_oldest(&a.clients, START + PLACE_SECOND));
    cr_assert_eq(told.stories[1].number, 1);
    cr_assert_not(clients_evict_oldest(&a.clients, START + PLACE_SECOND));
    accepting_close(&a);
}

/* Of those who wait to be looked at again and those who are silent who came first goes first. */
Test(clients_data, who_have_been_silent_for_longer_go_before_who_was_greeted_just_now)
{
    struct accepting a;

    expect_data(&a, 2, 3);
    a.clients.newest->lanes[1].terms.expects_data = false;
    for (size_t i = 0; i < 3; i++) {
        place_connect(&a.place, i % 2);
        cr_assert_eq(accepting_go_round(&a, START + i), 0);
    }
    for (uint64_t number = 1; number <= 3; number++) {
        cr_assert(clients_evict_oldest(&a.clients, START + 4));
        cr_assert_eq(told.stories[number - 1].number, number);
    }
    accepting_close(&a);
}

Test(clients_data, who_spoke_just_before_they_are_let_go_have_their_greeting)
{
    struct accepting a;

    expect_data(&a, 1, 4);
    int client = place_connect(&a.place, 0);
    cr_assert_eq(accepting_go_round(&a, START), 0);
    speak(&a, 0, client);
    cr_assert(clients_evict_oldest(&a.clients, START + 1));
    cr_assert_eq(a.clients.n, 0);
    place_read_hello(client);
    accepting_close(&a);
}

Test(clients_data, that_close_without_a_word_are_done_with)
{
    struct accepting a;

    expect_data(&a, 1, 4);
    close(place_connect(&a.place, 0));
    NET_WAIT_UNTIL((accepting_go_round(&a, START), told.n == 1));
    cr_assert_eq(told.stories[0].result, RESULT_PARTIAL);
    cr_assert_eq(a.clients.n, 0);
    accepting_close(&a);
}
