/* SPDX-License-Identifier: MIT */

/* Tests of DripSec=: the queue of clients that wait for their next line. */

#include <criterion/criterion.h>
#include <string.h>
#include <sys/epoll.h>

#include "greetd/metrics/result.h"
#include "support/acceptor_fixture.h"
#include "support/fake_logger.h"

#define START ACCEPTOR_FIXTURE_START
#define SEC   SNAPSHOT_FIXTURE_SECOND
#define PAUSE (10 * SEC)
#define SLACK (SEC / 10)
#define TEXT  "one\ntwo\nthree\n"

TestSuite(clients_drip, .timeout = 60);

/* Opens listeners of TEXT; DripSec= is PAUSE for the first and longer for each later one. */
static void open_with_drip(struct acceptor_fixture *fixture, size_t n_bindings, size_t capacity)
{
    acceptor_fixture_open(fixture, n_bindings, capacity);
    for (size_t i = 0; i < n_bindings; i++) {
        fixture->net.greetings[i] = (struct greeting){.bytes = (char *)TEXT, .size = strlen(TEXT)};
        fixture->net.configs[i].settings.drip_usec = (i + 1) * PAUSE;
    }
}

/* Connects a client to listener INDEX, and accepts it. */
static int add(struct acceptor_fixture *fixture, size_t index, uint64_t now_usec)
{
    int client = snapshot_fixture_connect(&fixture->net, index);

    cr_assert_eq(acceptor_fixture_run_once(fixture, now_usec), 0);
    return client;
}

/* Reads exactly TEXT; there is no more to read yet. */
static void expect_line(int client, const char *text)
{
    char bytes[64], beyond;

    net_read(client, bytes, strlen(text));
    cr_assert_arr_eq(bytes, text, strlen(text));
    cr_assert_eq(recv(client, &beyond, 1, MSG_DONTWAIT), -1);
}

static bool has_input(int client)
{
    return poll(&(struct pollfd){.fd = client, .events = POLLIN}, 1, 0) > 0;
}

Test(clients_drip, sends_each_line_after_its_pause_without_epoll)
{
    struct acceptor_fixture fixture;
    uint64_t now = START;

    open_with_drip(&fixture, 1, 4);
    int client = add(&fixture, 0, now);
    for (const char *const *line = (const char *const[]){"one\n", "two\n", NULL}; *line; line++) {
        cr_assert_eq(clients_next_deadline(&fixture.clients), now + PAUSE + SLACK);
        cr_assert_not(fixture.clients.table[0].watched);
        clients_expire(&fixture.clients, now + PAUSE - 1);
        cr_assert_not(has_input(client));
        clients_expire(&fixture.clients, now += PAUSE);
        expect_line(client, *line);
    }
    clients_expire(&fixture.clients, now += PAUSE);
    net_expect_text(client, "three\n");
    cr_assert_eq(clients_next_deadline(&fixture.clients), now + CONN_AGAIN_USEC);
    acceptor_fixture_close(&fixture);
}

/* So that one wake-up is for many lines. */
Test(clients_drip, wakes_up_a_little_late)
{
    struct acceptor_fixture fixture;

    open_with_drip(&fixture, 1, 4);
    int first = add(&fixture, 0, START), second = add(&fixture, 0, START + SLACK);
    uint64_t next = clients_next_deadline(&fixture.clients);
    cr_assert_eq(next, START + PAUSE + SLACK);
    clients_expire(&fixture.clients, next);
    expect_line(first, "one\n");
    expect_line(second, "one\n");
    fixture.net.configs[0].settings.drip_usec = SEC;
    cr_assert_eq(clients_next_deadline(&fixture.clients), next + SEC + SEC / 100);
    acceptor_fixture_close(&fixture);
}

Test(clients_drip, each_listener_has_its_own_pause)
{
    struct acceptor_fixture fixture;

    open_with_drip(&fixture, 2, 4);
    int slow = add(&fixture, 1, START), quick = add(&fixture, 0, START + 1);
    cr_assert_eq(clients_next_deadline(&fixture.clients), START + 1 + PAUSE + SLACK);
    clients_expire(&fixture.clients, START + 1 + PAUSE);
    expect_line(quick, "one\n");
    cr_assert_not(has_input(slow));
    clients_expire(&fixture.clients, START + 2 * PAUSE);
    expect_line(slow, "one\n");
    cr_assert_not(has_input(quick));
    acceptor_fixture_close(&fixture);
}

Test(clients_drip, leaves_epoll_when_a_slow_line_is_done)
{
    struct acceptor_fixture fixture;
    static char bytes[64 * 1024];

    open_with_drip(&fixture, 1, 4);
    snapshot_fixture_make_huge(&fixture.net, 0);
    memcpy(fixture.net.greetings[0].bytes + SNAPSHOT_FIXTURE_HUGE - 4, "\nend", 4);
    int client = add(&fixture, 0, START);
    clients_expire(&fixture.clients, START + PAUSE);
    cr_assert(fixture.clients.table[0].watched);
    cr_assert_eq(clients_next_deadline(&fixture.clients), START + PAUSE + 30 * SEC);
    for (size_t left = SNAPSHOT_FIXTURE_HUGE - 3; left > 0;) {
        size_t size = left < sizeof(bytes) ? left : sizeof(bytes);
        net_read(client, bytes, size);
        left -= size;
        acceptor_fixture_dispatch(&fixture, START + PAUSE + 1);
    }
    cr_assert_not(fixture.clients.table[0].watched);
    cr_assert_eq(clients_next_deadline(&fixture.clients), START + PAUSE + 1 + PAUSE + SLACK);
    clients_expire(&fixture.clients, START + PAUSE + 1 + PAUSE);
    net_expect_text(client, "end");
    acceptor_fixture_close(&fixture);
}

Test(clients_drip, times_out_a_client_that_does_not_take_its_line)
{
    struct acceptor_fixture fixture;
    uint64_t now = START;

    open_with_drip(&fixture, 1, 4);
    snapshot_fixture_make_huge(&fixture.net, 0);
    add(&fixture, 0, now);
    for (unsigned i = 0; i < 3 && fixture.clients.n > 0; i++)
        clients_expire(&fixture.clients, now = clients_next_deadline(&fixture.clients));
    cr_assert_eq(fixture.clients.n, 0);
    cr_assert_eq(fake_logger.records[0].result, RESULT_TIMEOUT);
    acceptor_fixture_close(&fixture);
}

Test(clients_drip, sends_a_batch_of_lines_at_a_time)
{
    struct acceptor_fixture fixture;
    unsigned n_rounds = 0;

    open_with_drip(&fixture, 1, 100);
    acceptor_fixture_connect(&fixture, 100);
    while (fixture.clients.n < 100)
        cr_assert_eq(acceptor_fixture_run_once(&fixture, START), 0);
    while (clients_next_deadline(&fixture.clients) <= START + PAUSE + SLACK) {
        clients_expire(&fixture.clients, START + PAUSE);
        n_rounds++;
    }
    cr_assert_gt(n_rounds, 1);
    for (size_t i = 0; i < 100; i++)
        cr_assert_eq(fixture.clients.table[i].sent, 4);
    acceptor_fixture_close(&fixture);
}

Test(clients_drip, sends_the_rest_at_once_when_the_worker_stops)
{
    struct acceptor_fixture fixture;

    open_with_drip(&fixture, 2, 4);
    int early = add(&fixture, 0, START);
    clients_expire(&fixture.clients, START + PAUSE);
    expect_line(early, "one\n");
    int late = add(&fixture, 1, START + PAUSE);
    fixture.context.stopping = true;
    cr_assert_leq(clients_next_deadline(&fixture.clients), START + PAUSE);
    clients_expire(&fixture.clients, START + PAUSE);
    net_expect_text(early, "two\nthree\n");
    net_expect_text(late, TEXT);
    acceptor_fixture_close(&fixture);
}

Test(clients_drip, keeps_its_pause_after_a_reload)
{
    struct acceptor_fixture fixture;
    struct snapshot_fixture other;

    open_with_drip(&fixture, 1, 4);
    int client = add(&fixture, 0, START);
    snapshot_fixture_open(&other, 1);
    cr_assert_eq(acceptor_adopt(&fixture.acceptor,
                                snapshot_fixture_generation(&other, fixture.shared.metrics)),
                 0);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, START), 0);
    generation_free_unused(fixture.clients.newest);
    cr_assert_eq(clients_next_deadline(&fixture.clients), START + PAUSE + SLACK);
    clients_expire(&fixture.clients, START + PAUSE);
    expect_line(client, "one\n");
    acceptor_fixture_close(&fixture);
    snapshot_fixture_close(&other);
}

/* A lingering client has its greeting. */
Test(clients_drip, is_evicted_before_a_client_that_lingers)
{
    struct acceptor_fixture fixture;

    open_with_drip(&fixture, 2, 8);
    fixture.net.configs[1].settings.drip_usec = 0;
    add(&fixture, 1, START);
    NET_WAIT_UNTIL(net_outstanding(fixture.clients.table[0].fd) == 0);
    clients_expire(&fixture.clients, START + CONN_SOON_USEC);
    add(&fixture, 0, START + SEC);
    add(&fixture, 0, START + 2 * SEC);
    for (size_t i = 0; i < 3; i++) {
        static const uint64_t numbers[] = {2, 3, 1};

        cr_assert(clients_evict_oldest(&fixture.clients, START + 2 * SEC));
        cr_assert_eq(fake_logger.records[i].number, numbers[i]);
    }
    cr_assert_eq(fake_logger.records[0].result, RESULT_PARTIAL);
    acceptor_fixture_close(&fixture);
}

/* That is the longest wait for a line, not the longest connection. */
Test(clients_drip, evicts_the_client_that_has_waited_longest)
{
    struct acceptor_fixture fixture;

    open_with_drip(&fixture, 1, 8);
    add(&fixture, 0, START);
    add(&fixture, 0, START + SEC);
    clients_expire(&fixture.clients, START + PAUSE);
    cr_assert(clients_evict_oldest(&fixture.clients, START + PAUSE));
    cr_assert_eq(fake_logger.records[0].number, 2);
    acceptor_fixture_close(&fixture);
}

Test(clients_drip, evicts_a_client_that_does_not_take_its_line)
{
    struct acceptor_fixture fixture;

    open_with_drip(&fixture, 1, 1);
    snapshot_fixture_make_huge(&fixture.net, 0);
    add(&fixture, 0, START);
    clients_expire(&fixture.clients, START + PAUSE);
    cr_assert(fixture.clients.table[0].watched);
    cr_assert(clients_can_evict(&fixture.clients, START + PAUSE));
    add(&fixture, 0, START + PAUSE);
    cr_assert_eq(fake_logger.n, 1);
    cr_assert_eq(fixture.clients.n, 1);
    acceptor_fixture_close(&fixture);
}
