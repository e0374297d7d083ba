/* SPDX-License-Identifier: MIT */

/* How an acceptor goes on with another generation, and how it is held. */

#include "support/acceptor_fixture.h"
#include "support/fake_logger.h"

#include "greetd/base/clock.h"

#define START ACCEPTOR_FIXTURE_START

TestSuite(acceptor_adopt, .timeout = 60);

/* Another generation, of the endpoints from FIRST to LAST, that says BYTES at each. */
static struct generation *renewed(struct acceptor_fixture *fixture, size_t first, size_t last,
                                  const char *bytes)
{
    static struct greeting greeting;
    static struct config_listener config;
    struct snapshot *snapshot;
    struct generation *generation;

    greeting = (struct greeting){.bytes = (char *)bytes, .size = strlen(bytes)};
    config = fixture->net.configs[0];
    config.greeting = &greeting;
    cr_assert_eq(snapshot_new(&snapshot, NULL, last - first + 1), 0);
    for (size_t i = first; i <= last; i++) {
        snapshot_add(snapshot, &fixture->net.listeners[i], &config);
        listener_use(&fixture->net.listeners[i], 1);
    }
    cr_assert_eq(generation_new(&generation, snapshot, fixture->shared.metrics, 0), 0);
    snapshot_unref(snapshot);
    return generation;
}

static void expect_text(int client, const char *text)
{
    net_expect_text(client, text);
    close(client);
}

Test(acceptor_adopt, newcomers_get_the_new_greeting_and_those_before_all_of_theirs)
{
    struct acceptor_fixture fixture;
    char *bytes = malloc(SNAPSHOT_FIXTURE_HUGE);

    acceptor_fixture_open(&fixture, 1, 8);
    snapshot_fixture_make_huge(&fixture.net, 0);
    int before = snapshot_fixture_connect(&fixture.net, 0);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, START), 0);
    struct generation *old = fixture.clients.newest;
    cr_assert_eq(acceptor_adopt(&fixture.acceptor, renewed(&fixture, 0, 0, "new")), 0);
    cr_assert_eq(fixture.clients.newest->older, old);

    int after = snapshot_fixture_connect(&fixture.net, 0);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, START), 0);
    expect_text(after, "new");
    clients_retire(&fixture.clients);
    cr_assert_eq(fixture.clients.newest->older, old, "it has a client");
    size_t n = 0;
    while (n < SNAPSHOT_FIXTURE_HUGE) {
        ssize_t part = recv(before, bytes, SNAPSHOT_FIXTURE_HUGE, MSG_DONTWAIT);
        n += part > 0 ? (size_t)part : 0;
        cr_assert_eq(acceptor_fixture_run_once(&fixture, START), 0);
    }
    close(before);
    NET_WAIT_UNTIL(
        (acceptor_fixture_run_once(&fixture, START + CONN_SOON_USEC), fixture.clients.n == 0));
    clients_retire(&fixture.clients);
    cr_assert_null(fixture.clients.newest->older);
    acceptor_fixture_close(&fixture);
    free(bytes);
}

Test(acceptor_adopt, a_socket_that_has_gone_is_let_go_once_its_queue_is_empty)
{
    struct acceptor_fixture fixture;

    acceptor_fixture_open(&fixture, 2, 64);
    acceptor_fixture_connect(&fixture, ACCEPTOR_FIXTURE_BATCH + 1);
    cr_assert_eq(acceptor_adopt(&fixture.acceptor, renewed(&fixture, 1, 1, "new")), 0);
    cr_assert(listener_in_use(&fixture.net.listeners[0]));
    cr_assert_eq(acceptor_run(&fixture.acceptor, START), 0);
    cr_assert(listener_in_use(&fixture.net.listeners[0]), "there may be one more");
    cr_assert_eq(acceptor_run(&fixture.acceptor, START), 0);
    cr_assert_eq(fixture.clients.n, ACCEPTOR_FIXTURE_BATCH + 1);
    cr_assert_not(listener_in_use(&fixture.net.listeners[0]));
    eventfd_t n;
    cr_assert_eq(eventfd_read(fixture.shared.changed_fd, &n), 0, "the main thread may close it");

    int client = snapshot_fixture_connect(&fixture.net, 1);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, START), 0);
    expect_text(client, "new");
    acceptor_fixture_close(&fixture);
}

/* The address was not wanted for a while, and its queue not empty yet. */
Test(acceptor_adopt, an_address_that_is_wanted_again_has_the_newest_greeting)
{
    struct acceptor_fixture fixture;

    acceptor_fixture_open(&fixture, 2, 64);
    acceptor_fixture_connect(&fixture, ACCEPTOR_FIXTURE_BATCH + 4);
    cr_assert_eq(acceptor_adopt(&fixture.acceptor, renewed(&fixture, 1, 1, "new")), 0);
    cr_assert_eq(acceptor_run(&fixture.acceptor, START), 0);
    cr_assert_eq(fixture.clients.n, ACCEPTOR_FIXTURE_BATCH);
    cr_assert_eq(acceptor_adopt(&fixture.acceptor, renewed(&fixture, 0, 1, "newest")), 0);
    int client = snapshot_fixture_connect(&fixture.net, 0);
    for (int round = 0; fixture.clients.n < ACCEPTOR_FIXTURE_BATCH + 5; round++) {
        cr_assert_lt(round, 4);
        cr_assert_eq(acceptor_fixture_run_once(&fixture, START), 0);
    }
    expect_text(client, "newest");
    acceptor_fixture_close(&fixture);
}

Test(acceptor_adopt, a_pause_goes_on_and_ends_as_it_would_have)
{
    struct acceptor_fixture fixture;
    int first = acceptor_fixture_open_full(&fixture, 2);
    int second = snapshot_fixture_connect(&fixture.net, 1);

    cr_assert_eq(acceptor_adopt(&fixture.acceptor, renewed(&fixture, 1, 1, "new")), 0);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, START), 0);
    cr_assert_eq(fixture.clients.n, 1, "no room yet");
    net_reset(first);
    NET_WAIT_UNTIL((acceptor_fixture_run_once(&fixture, START), fake_logger.n == 1));
    cr_assert_eq(acceptor_fixture_run_once(&fixture, START), 0);
    expect_text(second, "new");
    cr_assert_not(listener_in_use(&fixture.net.listeners[0]));
    acceptor_fixture_close(&fixture);
}

Test(acceptor_adopt, held_it_leaves_newcomers_in_the_queue_and_then_takes_them)
{
    struct acceptor_fixture fixture;

    acceptor_fixture_open(&fixture, 1, 8);
    acceptor_hold(&fixture.acceptor);
    int client = snapshot_fixture_connect(&fixture.net, 0);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, START), 0);
    cr_assert_eq(fixture.clients.n, 0);
    cr_assert_eq(acceptor_next_deadline(&fixture.acceptor), USEC_INFINITY);
    acceptor_resume(&fixture.acceptor);
    cr_assert_eq(acceptor_next_deadline(&fixture.acceptor), 0);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, START), 0);
    snapshot_fixture_read_hello(client);
    int next = snapshot_fixture_connect(&fixture.net, 0);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, START), 0);
    snapshot_fixture_read_hello(next);
    acceptor_fixture_close(&fixture);
}
