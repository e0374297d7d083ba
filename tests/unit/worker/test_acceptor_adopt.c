/* SPDX-License-Identifier: MIT */

/* Tests of an acceptor that adopts another generation, or is held. */

#include "support/acceptor_fixture.h"
#include "support/fake_logger.h"

#include "greetd/base/clock.h"

#define START           ACCEPTOR_FIXTURE_START
#define GENERATIONS_MAX 8

TestSuite(acceptor_adopt, .timeout = 60);

/* Returns a generation of the listeners from FIRST to LAST with BYTES as their greeting. */
static struct generation *new_generation(struct acceptor_fixture *fixture, size_t first,
                                         size_t last, const char *bytes)
{
    /* Older generations keep theirs. */
    static struct greeting greetings[GENERATIONS_MAX];
    static struct config_listener configs[GENERATIONS_MAX];
    static size_t n;
    struct snapshot *snapshot;
    struct generation *generation;

    cr_assert_lt(n, GENERATIONS_MAX);
    greetings[n] = (struct greeting){.bytes = (char *)bytes, .size = strlen(bytes)};
    configs[n] = fixture->net.configs[0];
    configs[n].greeting = &greetings[n];
    cr_assert_eq(snapshot_new(&snapshot, NULL, last - first + 1), 0);
    for (size_t i = first; i <= last; i++) {
        snapshot_add(snapshot, &fixture->net.listeners[i], &configs[n]);
        listener_use(&fixture->net.listeners[i], 1);
    }
    cr_assert_eq(generation_new(&generation, snapshot, fixture->shared.metrics, 0), 0);
    snapshot_unref(snapshot);
    n++;
    return generation;
}

static void expect_text_and_close(int client, const char *text)
{
    net_expect_text(client, text);
    close(client);
}

Test(acceptor_adopt, new_clients_get_the_new_greeting_and_earlier_ones_the_old)
{
    struct acceptor_fixture fixture;
    char *bytes = malloc(SNAPSHOT_FIXTURE_HUGE);

    acceptor_fixture_open(&fixture, 1, 8);
    snapshot_fixture_make_huge(&fixture.net, 0);
    int before = snapshot_fixture_connect(&fixture.net, 0);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, START), 0);
    struct generation *old = fixture.clients.newest;
    cr_assert_eq(acceptor_adopt(&fixture.acceptor, new_generation(&fixture, 0, 0, "new")), 0);
    cr_assert_eq(fixture.clients.newest->older, old);

    int after = snapshot_fixture_connect(&fixture.net, 0);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, START), 0);
    expect_text_and_close(after, "new");
    generation_free_unused(fixture.clients.newest);
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
    generation_free_unused(fixture.clients.newest);
    cr_assert_null(fixture.clients.newest->older);
    acceptor_fixture_close(&fixture);
    free(bytes);
}

Test(acceptor_adopt, releases_a_removed_listener_when_its_queue_is_empty)
{
    struct acceptor_fixture fixture;

    acceptor_fixture_open(&fixture, 2, 64);
    acceptor_fixture_connect(&fixture, ACCEPTOR_FIXTURE_BATCH + 1);
    cr_assert_eq(acceptor_adopt(&fixture.acceptor, new_generation(&fixture, 1, 1, "new")), 0);
    cr_assert(listener_in_use(&fixture.net.listeners[0]));
    cr_assert_eq(acceptor_run(&fixture.acceptor, START), 0);
    cr_assert(listener_in_use(&fixture.net.listeners[0]), "one more client may be pending");
    cr_assert_eq(acceptor_run(&fixture.acceptor, START), 0);
    cr_assert_eq(fixture.clients.n, ACCEPTOR_FIXTURE_BATCH + 1);
    cr_assert_not(listener_in_use(&fixture.net.listeners[0]));
    eventfd_t n;
    cr_assert_eq(eventfd_read(fixture.shared.changed_fd, &n), 0, "the main thread may close it");

    int client = snapshot_fixture_connect(&fixture.net, 1);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, START), 0);
    expect_text_and_close(client, "new");
    acceptor_fixture_close(&fixture);
}

/* The listener is still emptying its queue when it is configured again. */
Test(acceptor_adopt, a_listener_that_is_configured_again_has_the_newest_greeting)
{
    struct acceptor_fixture fixture;

    acceptor_fixture_open(&fixture, 2, 64);
    acceptor_fixture_connect(&fixture, ACCEPTOR_FIXTURE_BATCH + 4);
    cr_assert_eq(acceptor_adopt(&fixture.acceptor, new_generation(&fixture, 1, 1, "new")), 0);
    cr_assert_eq(acceptor_run(&fixture.acceptor, START), 0);
    cr_assert_eq(fixture.clients.n, ACCEPTOR_FIXTURE_BATCH);
    cr_assert_eq(acceptor_adopt(&fixture.acceptor, new_generation(&fixture, 0, 1, "newest")), 0);
    int client = snapshot_fixture_connect(&fixture.net, 0);
    for (int round = 0; fixture.clients.n < ACCEPTOR_FIXTURE_BATCH + 5; round++) {
        cr_assert_lt(round, 4);
        cr_assert_eq(acceptor_fixture_run_once(&fixture, START), 0);
    }
    expect_text_and_close(client, "newest");
    acceptor_fixture_close(&fixture);
}

Test(acceptor_adopt, a_pause_continues_until_there_is_room)
{
    struct acceptor_fixture fixture;
    int first = acceptor_fixture_open_full(&fixture, 2);
    int second = snapshot_fixture_connect(&fixture.net, 1);

    cr_assert_eq(acceptor_adopt(&fixture.acceptor, new_generation(&fixture, 1, 1, "new")), 0);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, START), 0);
    cr_assert_eq(fixture.clients.n, 1, "there is no room yet");
    net_reset(first);
    NET_WAIT_UNTIL((acceptor_fixture_run_once(&fixture, START), fake_logger.n == 1));
    cr_assert_eq(acceptor_fixture_run_once(&fixture, START), 0);
    expect_text_and_close(second, "new");
    cr_assert_not(listener_in_use(&fixture.net.listeners[0]));
    acceptor_fixture_close(&fixture);
}

Test(acceptor_adopt, hold_leaves_clients_in_the_queue_until_resume)
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
