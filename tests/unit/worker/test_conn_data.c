/* SPDX-License-Identifier: MIT */

/* Clients that are to speak before they are greeted: GreetOn=data. */

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

static void expect_data(struct conn_fixture *fixture, struct net_pair pair,
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

ParameterizedTestParameters(conn_data, is_waited_for)
{
    return conn_fixture_kinds();
}

ParameterizedTest(int *kind, conn_data, is_waited_for, .timeout = 60)
{
    struct conn_fixture fixture;

    expect_data(&fixture, net_pair_of(*kind), conn_fixture_hello());
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

Test(conn_data, that_is_there_already_is_greeted_at_once)
{
    struct conn_fixture fixture;

    expect_data(&fixture, net_tcp_pair(), conn_fixture_hello());
    net_send_zeroes(fixture.pair.client, 1);
    net_wait(fixture.pair.server, POLLIN);
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_SOON);
    net_expect_text(fixture.pair.client, CONN_FIXTURE_HELLO);
    conn_fixture_finish(&fixture);
}

Test(conn_data, may_be_an_empty_record)
{
    struct conn_fixture fixture;

    expect_data(&fixture, net_local_pair(SOCK_SEQPACKET), conn_fixture_hello());
    fixture.socket.type = SOCK_SEQPACKET;
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_DATA);
    cr_assert_eq(send(fixture.pair.client, "", 0, MSG_NOSIGNAL), 0);
    cr_assert_eq(conn_fixture_step(&fixture), CONN_WAIT_SOON);
    conn_fixture_finish(&fixture);
}

Test(conn_data, and_the_end_of_stream_are_greeted)
{
    struct conn_fixture fixture;

    expect_data(&fixture, net_tcp_pair(), conn_fixture_hello());
    net_send_zeroes(fixture.pair.client, 1);
    shutdown(fixture.pair.client, SHUT_WR);
    net_wait(fixture.pair.server, POLLRDHUP);
    conn_fixture_begin(&fixture);
    net_expect_text(fixture.pair.client, CONN_FIXTURE_HELLO);
    NET_WAIT_UNTIL(net_outstanding(fixture.conn.fd) == 0);
    cr_assert_eq(conn_fixture_finish(&fixture).result, RESULT_DELIVERED);
}

Test(conn_data, and_the_end_of_stream_leave_time_to_acknowledge)
{
    const size_t size = 150 * 1000;
    _cleanup_free_ char *bytes = malloc(size);
    struct conn_fixture fixture;

    expect_data(&fixture, net_tcp_pair_with(4096), net_long_greeting(size));
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
Test(conn_data, and_the_end_of_stream_are_all_if_nothing_is_left_to_acknowledge)
{
    struct conn_fixture fixture;

    expect_data(&fixture, net_tcp_pair(), (struct greeting){.bytes = NULL, .size = 0});
    net_send_zeroes(fixture.pair.client, 1);
    shutdown(fixture.pair.client, SHUT_WR);
    net_wait(fixture.pair.server, POLLRDHUP);
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_CLOSE);
    cr_assert_eq(conn_fixture_finish(&fixture).result, RESULT_DELIVERED);
}

/* The result is that of a client that has gone before everything was sent; an empty greeting is no
 * exception. */
ParameterizedTestParameters(conn_data, that_ends_before_it_begins_is_not_greeted)
{
    static size_t sizes[] = {0, sizeof(CONN_FIXTURE_HELLO) - 1};
    return cr_make_param_array(size_t, sizes, ELEMENTSOF(sizes));
}

ParameterizedTest(size_t *size, conn_data, that_ends_before_it_begins_is_not_greeted, .timeout = 60)
{
    struct conn_fixture fixture;
    char text[1];

    expect_data(&fixture, net_tcp_pair(),
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

Test(conn_data, that_ends_in_a_reset_is_told_so)
{
    struct conn_fixture fixture;

    expect_data(&fixture, net_tcp_pair(), conn_fixture_hello());
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_DATA);
    net_reset(fixture.pair.client);
    net_wait(fixture.conn.fd, POLLIN);
    cr_assert_eq(conn_fixture_step(&fixture), CONN_CLOSE);
    cr_assert_eq(conn_fixture_finish(&fixture).result, RESULT_RESET);
}

ParameterizedTestParameters(conn_data, that_never_comes_is_not_waited_for_for_ever)
{
    static size_t sizes[] = {0, sizeof(CONN_FIXTURE_HELLO) - 1};
    return cr_make_param_array(size_t, sizes, ELEMENTSOF(sizes));
}

ParameterizedTest(size_t *size, conn_data, that_never_comes_is_not_waited_for_for_ever,
                  .timeout = 60)
{
    struct conn_fixture fixture;
    char text[1];

    expect_data(&fixture, net_tcp_pair(),
                (struct greeting){.bytes = (char *)CONN_FIXTURE_HELLO, .size = *size});
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_DATA);
    cr_assert_eq(conn_expire(&fixture.conn, CONN_FIXTURE_START), CONN_CLOSE);
    cr_assert_eq(conn_fixture_finish(&fixture).result, RESULT_TIMEOUT);
    cr_assert_eq(net_read_to_end(fixture.pair.client, text, 1), 0);
}

/* WriteTimeoutSec= begins with the greeting, not with the connection. */
Test(conn_data, does_not_count_as_a_greeting_that_is_not_taken)
{
    struct conn_fixture fixture;
    const uint64_t late = CONN_FIXTURE_START + 100 * CONN_FIXTURE_SECOND;

    expect_data(&fixture, net_tcp_pair(), conn_fixture_hello());
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_DATA);
    net_send_zeroes(fixture.pair.client, 1);
    net_wait(fixture.conn.fd, POLLIN);
    cr_assert_eq(conn_step(&fixture.conn, late, &fixture.context), CONN_WAIT_SOON);
    cr_assert_eq(fixture.conn.progress_msec, 100 * 1000);
    conn_fixture_finish(&fixture);
}

/* Neither does it as time that the greeting took. */
Test(conn_data, is_when_the_time_of_a_greeting_begins)
{
    struct conn_fixture fixture;

    expect_data(&fixture, net_tcp_pair(), conn_fixture_hello());
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
    uint64_t spoke_usec, ended_usec, took_usec;
};

ParameterizedTestParameters(conn_data, is_when_the_time_of_a_slow_greeting_begins)
{
    static struct slow_greeting greetings[] = {
        {0, 2000000, 2000000},
        {3000000, 5000000, 2000000},
        {100000000, 101000000, 1000000},
    };
    return cr_make_param_array(struct slow_greeting, greetings, ELEMENTSOF(greetings));
}

ParameterizedTest(struct slow_greeting *greeting, conn_data,
                  is_when_the_time_of_a_slow_greeting_begins, .timeout = 60)
{
    struct conn_fixture fixture;
    enum conn_next next;
    char bytes[64 * 1024];

    expect_data(&fixture, net_tcp_pair(), net_long_greeting(8 * 1000 * 1000));
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_DATA);
    net_send_zeroes(fixture.pair.client, 1);
    net_wait(fixture.conn.fd, POLLIN);
    next = conn_step(&fixture.conn, CONN_FIXTURE_START + greeting->spoke_usec, &fixture.context);
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

Test(conn_data, brings_all_of_a_huge_greeting)
{
    const size_t size = (size_t)12 * 1024 * 1024;
    _cleanup_free_ char *bytes = malloc(size);
    struct conn_fixture fixture;

    expect_data(&fixture, net_tcp_pair(), net_long_greeting(size));
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
