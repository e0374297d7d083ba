/* SPDX-License-Identifier: MIT */

/* Tests of GreetOn=data: one client that must send data before its greeting. */

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "greetd/base/cleanup.h"
#include "greetd/base/clock.h"
#include "greetd/journal/record.h"
#include "greetd/metrics/result.h"
#include "greetd/worker/conn.h"
#include "support/conn_fixture.h"
#include "support/net.h"

TestSuite(conn_data, .timeout = 60);

/* Prepares PAIR for GREETING as conn_fixture_set(), with GreetOn=data. */
static void set_with_data(struct conn_fixture *fixture, struct net_pair pair,
                          struct greeting greeting)
{
    conn_fixture_set(fixture, pair, greeting);
    fixture->config.settings.greet_on = GREET_ON_DATA;
    fixture->config.settings.data_timeout_usec = 5 * CONN_FIXTURE_SECOND;
}

static bool has_received_nothing(int client)
{
    char byte;

    return recv(client, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

ParameterizedTestParameters(conn_data, waits_for_data_and_then_greets)
{
    return conn_fixture_kinds();
}

ParameterizedTest(int *kind, conn_data, waits_for_data_and_then_greets, .timeout = 60)
{
    struct conn_fixture fixture;

    set_with_data(&fixture, net_pair_of(*kind), conn_fixture_hello());
    fixture.socket.type = *kind;
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_DATA);
    cr_assert_eq(conn_fixture_step(&fixture), CONN_WAIT_DATA);
    cr_assert(has_received_nothing(fixture.pair.client));
    net_send_zeroes(fixture.pair.client, 3);
    net_wait(fixture.conn.fd, POLLIN);
    cr_assert_eq(conn_fixture_step(&fixture), CONN_WAIT_SOON);
    net_expect_text(fixture.pair.client, CONN_FIXTURE_HELLO);
    close(fixture.pair.client);
    cr_assert_eq(conn_fixture_step_while(&fixture, CONN_WAIT_CLOSE), CONN_CLOSE);
    cr_assert_eq(conn_fixture_finish(&fixture).result, RESULT_DELIVERED);
}

Test(conn_data, greets_with_the_greeting_in_force_when_data_arrives)
{
    struct conn_fixture fixture;
    struct greeting other = {.bytes = (char *)"other", .size = 5};
    struct worker_greeting replacement = {.listener = &fixture.listener, .text = &other};

    set_with_data(&fixture, net_tcp_pair(), conn_fixture_hello());
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_DATA);
    fixture.listener.greeting = &replacement;
    net_send_zeroes(fixture.pair.client, 3);
    net_wait(fixture.conn.fd, POLLIN);
    cr_assert_eq(conn_fixture_step(&fixture), CONN_WAIT_SOON);
    net_expect_text(fixture.pair.client, "other");
    cr_assert_eq(replacement.n_clients, 1);
    cr_assert_eq(fixture.listener.configured.n_clients, 0);
    close(fixture.pair.client);
    cr_assert_eq(conn_fixture_step_while(&fixture, CONN_WAIT_CLOSE), CONN_CLOSE);
    cr_assert_eq(conn_fixture_finish(&fixture).result, RESULT_DELIVERED);
}

Test(conn_data, greets_at_once_if_data_is_there)
{
    struct conn_fixture fixture;

    set_with_data(&fixture, net_tcp_pair(), conn_fixture_hello());
    net_send_zeroes(fixture.pair.client, 1);
    net_wait(fixture.pair.server, POLLIN);
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_SOON);
    net_expect_text(fixture.pair.client, CONN_FIXTURE_HELLO);
    conn_fixture_finish(&fixture);
}

Test(conn_data, takes_an_empty_record_for_data)
{
    struct conn_fixture fixture;

    set_with_data(&fixture, net_local_pair(SOCK_SEQPACKET), conn_fixture_hello());
    fixture.socket.type = SOCK_SEQPACKET;
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_DATA);
    cr_assert_eq(send(fixture.pair.client, "", 0, MSG_NOSIGNAL), 0);
    cr_assert_eq(conn_fixture_step(&fixture), CONN_WAIT_SOON);
    conn_fixture_finish(&fixture);
}

Test(conn_data, greets_a_client_that_sends_and_half_closes)
{
    struct conn_fixture fixture;

    set_with_data(&fixture, net_tcp_pair(), conn_fixture_hello());
    net_send_zeroes(fixture.pair.client, 1);
    shutdown(fixture.pair.client, SHUT_WR);
    net_wait(fixture.pair.server, POLLRDHUP);
    conn_fixture_begin(&fixture);
    net_expect_text(fixture.pair.client, CONN_FIXTURE_HELLO);
    NET_WAIT_UNTIL(net_outstanding(fixture.conn.fd) == 0);
    cr_assert_eq(conn_fixture_finish(&fixture).result, RESULT_DELIVERED);
}

Test(conn_data, waits_for_the_acknowledgement_of_a_half_closed_client)
{
    const size_t size = 150 * 1000;
    _cleanup_free_ char *bytes = malloc(size);
    struct conn_fixture fixture;

    set_with_data(&fixture, net_tcp_pair_with(4096), net_long_greeting(size));
    setsockopt(fixture.pair.server, SOL_SOCKET, SO_SNDBUF, &(int){400 * 1000}, sizeof(int));
    net_send_zeroes(fixture.pair.client, 1);
    shutdown(fixture.pair.client, SHUT_WR);
    net_wait(fixture.pair.server, POLLRDHUP);
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_SOON);
    cr_assert_eq(net_read_to_end(fixture.pair.client, bytes, size), (ssize_t)size);
    NET_WAIT_UNTIL(net_outstanding(fixture.conn.fd) == 0);
    cr_assert_eq(conn_fixture_poll(&fixture), CONN_CLOSE);
    cr_assert_eq(conn_fixture_finish(&fixture).result, RESULT_DELIVERED);
    free(fixture.greeting.bytes);
}

/* An empty greeting has no bytes to wait for. */
Test(conn_data, closes_a_half_closed_client_after_an_empty_greeting)
{
    struct conn_fixture fixture;

    set_with_data(&fixture, net_tcp_pair(), (struct greeting){.bytes = NULL, .size = 0});
    net_send_zeroes(fixture.pair.client, 1);
    shutdown(fixture.pair.client, SHUT_WR);
    net_wait(fixture.pair.server, POLLRDHUP);
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_CLOSE);
    cr_assert_eq(conn_fixture_finish(&fixture).result, RESULT_DELIVERED);
}

/* The result is partial, even for an empty greeting. */
ParameterizedTestParameters(conn_data, does_not_greet_a_client_that_half_closes_before_it_sends)
{
    static size_t sizes[] = {0, sizeof(CONN_FIXTURE_HELLO) - 1};
    return cr_make_param_array(size_t, sizes, ELEMENTSOF(sizes));
}

ParameterizedTest(size_t *size, conn_data, does_not_greet_a_client_that_half_closes_before_it_sends,
                  .timeout = 60)
{
    struct conn_fixture fixture;
    char text[1];

    set_with_data(&fixture, net_tcp_pair(),
                  (struct greeting){.bytes = (char *)CONN_FIXTURE_HELLO, .size = *size});
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_DATA);
    shutdown(fixture.pair.client, SHUT_WR);
    net_wait(fixture.conn.fd, POLLIN);
    cr_assert_eq(conn_fixture_step(&fixture), CONN_CLOSE);
    struct connection_record record = conn_fixture_finish(&fixture);
    cr_assert_eq(record.result, RESULT_PARTIAL);
    cr_assert_eq(record.bytes, 0);
    cr_assert_eq(fixture.counters.greeted, 0);
    cr_assert_eq(net_read_to_end(fixture.pair.client, text, 1), 0);
}

Test(conn_data, reports_a_reset_before_any_data)
{
    struct conn_fixture fixture;

    set_with_data(&fixture, net_tcp_pair(), conn_fixture_hello());
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_DATA);
    net_reset(fixture.pair.client);
    net_wait(fixture.conn.fd, POLLIN);
    cr_assert_eq(conn_fixture_step(&fixture), CONN_CLOSE);
    cr_assert_eq(conn_fixture_finish(&fixture).result, RESULT_RESET);
}

ParameterizedTestParameters(conn_data, times_out_a_client_that_sends_nothing)
{
    static size_t sizes[] = {0, sizeof(CONN_FIXTURE_HELLO) - 1};
    return cr_make_param_array(size_t, sizes, ELEMENTSOF(sizes));
}

ParameterizedTest(size_t *size, conn_data, times_out_a_client_that_sends_nothing, .timeout = 60)
{
    struct conn_fixture fixture;
    char text[1];

    set_with_data(&fixture, net_tcp_pair(),
                  (struct greeting){.bytes = (char *)CONN_FIXTURE_HELLO, .size = *size});
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_DATA);
    cr_assert_eq(conn_expire(&fixture.conn, CONN_FIXTURE_START), CONN_CLOSE);
    cr_assert_eq(conn_fixture_finish(&fixture).result, RESULT_TIMEOUT);
    cr_assert_eq(net_read_to_end(fixture.pair.client, text, 1), 0);
}

/* WriteTimeoutSec= begins with the greeting, not with the connection. */
Test(conn_data, starts_the_write_timeout_when_data_arrives)
{
    struct conn_fixture fixture;
    const uint64_t late = CONN_FIXTURE_START + 100 * CONN_FIXTURE_SECOND;

    set_with_data(&fixture, net_tcp_pair(), conn_fixture_hello());
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_DATA);
    net_send_zeroes(fixture.pair.client, 1);
    net_wait(fixture.conn.fd, POLLIN);
    cr_assert_eq(conn_step(&fixture.conn, late, &fixture.context), CONN_WAIT_SOON);
    cr_assert_eq(fixture.conn.progress_msec, 100 * 1000);
    conn_fixture_finish(&fixture);
}

/* The time before the data does not count for the histogram either. */
Test(conn_data, measures_a_greeting_from_the_arrival_of_data)
{
    struct conn_fixture fixture;

    set_with_data(&fixture, net_tcp_pair(), conn_fixture_hello());
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_DATA);
    net_send_zeroes(fixture.pair.client, 1);
    net_wait(fixture.conn.fd, POLLIN);
    uint64_t before = clock_now();
    conn_step(&fixture.conn, CONN_FIXTURE_START + 100 * CONN_FIXTURE_SECOND, &fixture.context);
    uint64_t took = clock_now() - before;
    cr_assert_gt(fixture.counters.greeting_usec, 0);
    cr_assert_leq(fixture.counters.greeting_usec, took);
    conn_fixture_finish(&fixture);
}

struct slow_greeting {
    uint64_t data_usec, ended_usec, took_usec;
};

ParameterizedTestParameters(conn_data, measures_a_slow_greeting_from_the_arrival_of_data)
{
    static struct slow_greeting greetings[] = {
        {0, 2000000, 2000000},
        {3000000, 5000000, 2000000},
        {100000000, 101000000, 1000000},
        {50 * 86400 * CONN_FIXTURE_SECOND, 50 * 86400 * CONN_FIXTURE_SECOND + 1000000, 1000000},
    };
    return cr_make_param_array(struct slow_greeting, greetings, ELEMENTSOF(greetings));
}

ParameterizedTest(struct slow_greeting *greeting, conn_data,
                  measures_a_slow_greeting_from_the_arrival_of_data, .timeout = 60)
{
    struct conn_fixture fixture;
    enum conn_next next;
    char bytes[64 * 1024];

    set_with_data(&fixture, net_tcp_pair(), net_long_greeting(8 * 1000 * 1000));
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_DATA);
    net_send_zeroes(fixture.pair.client, 1);
    net_wait(fixture.conn.fd, POLLIN);
    next = conn_step(&fixture.conn, CONN_FIXTURE_START + greeting->data_usec, &fixture.context);
    cr_assert_eq(next, CONN_WAIT_WRITE);
    while (next == CONN_WAIT_WRITE) {
        cr_assert_gt(recv(fixture.pair.client, bytes, sizeof(bytes), 0), 0);
        next =
            conn_step(&fixture.conn, CONN_FIXTURE_START + greeting->ended_usec, &fixture.context);
    }
    cr_assert_eq(fixture.counters.greeting_usec, greeting->took_usec);
    free(fixture.greeting.bytes);
    conn_fixture_finish(&fixture);
}

Test(conn_data, sends_all_of_a_huge_greeting)
{
    const size_t size = (size_t)12 * 1024 * 1024;
    _cleanup_free_ char *bytes = malloc(size);
    struct conn_fixture fixture;

    set_with_data(&fixture, net_tcp_pair(), net_long_greeting(size));
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_DATA);
    net_send_zeroes(fixture.pair.client, 1);
    net_wait(fixture.conn.fd, POLLIN);
    cr_assert_eq(conn_fixture_step(&fixture), CONN_WAIT_WRITE);
    cr_assert_eq(conn_fixture_read(&fixture, CONN_WAIT_WRITE, bytes, size, size), CONN_WAIT_SOON);
    cr_assert_arr_eq(bytes, fixture.greeting.bytes, size);
    cr_assert_eq(fixture.conn.state, CONN_GREETED);
    conn_fixture_finish(&fixture);
    free(fixture.greeting.bytes);
}
