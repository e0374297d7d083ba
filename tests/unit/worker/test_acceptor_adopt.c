/* SPDX-License-Identifier: MIT */

/* How an acceptor goes on with another generation, and how it is held. */

#include "support/acceptor_fixture.h"
#include "support/fake_logger.h"

#define START ACCEPTING_START

TestSuite(acceptor_adopt, .timeout = 60);

/* Another generation, of the endpoints from FIRST to LAST, that says BYTES at each. */
static struct generation *renewed(struct accepting *a, size_t first, size_t last, const char *bytes)
{
    static struct greeting greeting;
    static struct config_listener config;
    struct endpoints *endpoints;
    struct generation *generation;

    greeting = (struct greeting){.bytes = (char *)bytes, .size = strlen(bytes)};
    config = a->place.configs[0];
    config.greeting = &greeting;
    cr_assert_eq(endpoints_new(&endpoints, NULL, last - first + 1), 0);
    for (size_t i = first; i <= last; i++) {
        endpoints_add(endpoints, &a->place.listeners[i], &config);
        listener_use(&a->place.listeners[i], 1);
    }
    cr_assert_eq(generation_new(&generation, endpoints, &a->shared.metrics, 0), 0);
    endpoints_unref(endpoints);
    return generation;
}

static void expect_text(int client, const char *text)
{
    char bytes[64];

    cr_assert_eq(net_read_to_end(client, bytes, sizeof(bytes)), (ssize_t)strlen(text));
    cr_assert_arr_eq(bytes, text, strlen(text));
    close(client);
}

Test(acceptor_adopt, newcomers_get_the_new_greeting_and_those_before_all_of_theirs)
{
    struct accepting scene;
    char *bytes = malloc(PLACE_HUGE);

    accepting_open(&scene, 1, 8);
    place_make_huge(&scene.place, 0);
    int before = place_connect(&scene.place, 0);
    cr_assert_eq(accepting_go_round(&scene, START), 0);
    struct generation *old = scene.clients.newest;
    cr_assert_eq(acceptor_adopt(&scene.acceptor, renewed(&scene, 0, 0, "new")), 0);
    cr_assert_eq(scene.clients.newest->older, old);

    int after = place_connect(&scene.place, 0);
    cr_assert_eq(accepting_go_round(&scene, START), 0);
    expect_text(after, "new");
    clients_retire(&scene.clients);
    cr_assert_eq(scene.clients.newest->older, old, "it has a client");
    size_t n = 0;
    while (n < PLACE_HUGE) {
        ssize_t part = recv(before, bytes, PLACE_HUGE, MSG_DONTWAIT);
        n += part > 0 ? (size_t)part : 0;
        cr_assert_eq(accepting_go_round(&scene, START), 0);
    }
    close(before);
    NET_WAIT_UNTIL((accepting_go_round(&scene, START + CONN_SOON_USEC), scene.clients.n == 0));
    clients_retire(&scene.clients);
    cr_assert_null(scene.clients.newest->older);
    accepting_close(&scene);
    free(bytes);
}

Test(acceptor_adopt, a_socket_that_has_gone_is_let_go_once_its_queue_is_empty)
{
    struct accepting scene;

    accepting_open(&scene, 2, 64);
    accepting_connect(&scene, ACCEPTING_BATCH + 1);
    cr_assert_eq(acceptor_adopt(&scene.acceptor, renewed(&scene, 1, 1, "new")), 0);
    cr_assert(listener_in_use(&scene.place.listeners[0]));
    cr_assert_eq(acceptor_run(&scene.acceptor, START), 0);
    cr_assert(listener_in_use(&scene.place.listeners[0]), "there may be one more");
    cr_assert_eq(acceptor_run(&scene.acceptor, START), 0);
    cr_assert_eq(scene.clients.n, ACCEPTING_BATCH + 1);
    cr_assert_not(listener_in_use(&scene.place.listeners[0]));
    eventfd_t n;
    cr_assert_eq(eventfd_read(scene.shared.changed_fd, &n), 0, "the main thread may close it");

    int client = place_connect(&scene.place, 1);
    cr_assert_eq(accepting_go_round(&scene, START), 0);
    expect_text(client, "new");
    accepting_close(&scene);
}

/* The address was not wanted for a while, and its queue not empty yet. */
Test(acceptor_adopt, an_address_that_is_wanted_again_has_the_newest_greeting)
{
    struct accepting scene;

    accepting_open(&scene, 2, 64);
    accepting_connect(&scene, ACCEPTING_BATCH + 4);
    cr_assert_eq(acceptor_adopt(&scene.acceptor, renewed(&scene, 1, 1, "new")), 0);
    cr_assert_eq(acceptor_run(&scene.acceptor, START), 0);
    cr_assert_eq(scene.clients.n, ACCEPTING_BATCH);
    cr_assert_eq(acceptor_adopt(&scene.acceptor, renewed(&scene, 0, 1, "newest")), 0);
    int client = place_connect(&scene.place, 0);
    for (int round = 0; scene.clients.n < ACCEPTING_BATCH + 5; round++) {
        cr_assert_lt(round, 4);
        cr_assert_eq(accepting_go_round(&scene, START), 0);
    }
    expect_text(client, "newest");
    accepting_close(&scene);
}

Test(acceptor_adopt, a_pause_goes_on_and_ends_as_it_would_have)
{
    struct accepting scene;
    int first = accepting_fill(&scene, 2);
    int second = place_connect(&scene.place, 1);

    cr_assert_eq(acceptor_adopt(&scene.acceptor, renewed(&scene, 1, 1, "new")), 0);
    cr_assert_eq(accepting_go_round(&scene, START), 0);
    cr_assert_eq(scene.clients.n, 1, "no room yet");
    net_reset(first);
    NET_WAIT_UNTIL((accepting_go_round(&scene, START), told.n == 1));
    cr_assert_eq(accepting_go_round(&scene, START), 0);
    expect_text(second, "new");
    cr_assert_not(listener_in_use(&scene.place.listeners[0]));
    accepting_close(&scene);
}

Test(acceptor_adopt, held_it_leaves_newcomers_in_the_queue_and_then_takes_them)
{
    struct accepting scene;

    accepting_open(&scene, 1, 8);
    acceptor_hold(&scene.acceptor);
    int client = place_connect(&scene.place, 0);
    cr_assert_eq(accepting_go_round(&scene, START), 0);
    cr_assert_eq(scene.clients.n, 0);
    cr_assert_eq(acceptor_next_deadline(&scene.acceptor), DEADLINE_NEVER);
    acceptor_resume(&scene.acceptor);
    cr_assert_eq(acceptor_next_deadline(&scene.acceptor), 0);
    cr_assert_eq(accepting_go_round(&scene, START), 0);
    place_read_hello(client);
    int next = place_connect(&scene.place, 0);
    cr_assert_eq(accepting_go_round(&scene, START), 0);
    place_read_hello(next);
    accepting_close(&scene);
}
