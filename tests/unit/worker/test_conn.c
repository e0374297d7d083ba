/* SPDX-License-Identifier: MIT */
#include "greetd/worker/conn.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "greetd/base/cleanup.h"
#include "greetd/base/clock.h"
#include "greetd/journal/record.h"
#include "greetd/metrics/result.h"
#include "support/conn_fixture.h"
#include "support/net.h"

TestSuite(conn, .timeout = 60);

/* Returns how many greetings are in the histogram of times. */
static uint64_t n_measured(const struct conn_fixture *fixture)
{
    uint64_t n = 0;

    for (size_t i = 0; i < METRICS_TIMES; i++)
        n += fixture->counters.greeting_times[i];
    return n;
}

ParameterizedTestParameters(conn, greets_a_client_and_reports_delivery)
{
    return conn_fixture_kinds();
}

ParameterizedTest(int *kind, conn, greets_a_client_and_reports_delivery, .timeout = 60)
{
    struct conn_fixture fixture;

    conn_fixture_set(&fixture, net_pair_of(*kind), conn_fixture_hello());
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_SOON);
    net_expect_text(fixture.pair.client, CONN_FIXTURE_HELLO);
    NET_WAIT_UNTIL(net_outstanding(fixture.conn.fd) == 0);
    cr_assert_eq(conn_fixture_step(&fixture), CONN_WAIT_CLOSE);
    close(fixture.pair.client);
    cr_assert_eq(conn_fixture_step_while(&fixture, CONN_WAIT_CLOSE), CONN_CLOSE);

    struct connection_record record = conn_fixture_finish(&fixture);
    cr_assert_eq(record.result, RESULT_DELIVERED);
    cr_assert_str_eq(record.listener, "server");
    cr_assert_eq(record.number, 7);
    cr_assert_eq(record.duration_usec, 5);
    cr_assert_eq(record.bytes, strlen(CONN_FIXTURE_HELLO));
    cr_assert_eq(record.bytes_acked, strlen(CONN_FIXTURE_HELLO));
    cr_assert_eq(record.peer.family, fixture.pair.peer.family);
    cr_assert_eq(fixture.counters.greeted, 1);
    cr_assert_eq(fixture.counters.bytes_sent, strlen(CONN_FIXTURE_HELLO));
    cr_assert_eq(n_measured(&fixture), 1);
}

/* The clock decides, since the time passed in does not change meanwhile. */
Test(conn, measures_a_greeting_that_the_kernel_takes_at_once)
{
    struct conn_fixture fixture;

    conn_fixture_set(&fixture, net_tcp_pair(), conn_fixture_hello());
    uint64_t before = clock_now();
    conn_fixture_begin(&fixture);
    uint64_t took = clock_now() - before;
    cr_assert_eq(n_measured(&fixture), 1);
    cr_assert_gt(fixture.counters.greeting_usec, 0);
    cr_assert_leq(fixture.counters.greeting_usec, took);
    conn_fixture_finish(&fixture);
}

Test(conn, measures_a_slow_greeting_from_accept_to_its_end)
{
    struct conn_fixture fixture;
    enum conn_next next;
    char bytes[4096];

    conn_fixture_set(&fixture, net_tcp_pair(), net_long_greeting(8 * 1000 * 1000));
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_WRITE);
    cr_assert_eq(n_measured(&fixture), 0);
    do {
        cr_assert_geq(recv(fixture.pair.client, bytes, sizeof(bytes), 0), 0);
        next = conn_step(&fixture.conn, CONN_FIXTURE_START + 100, &fixture.context);
    } while (next == CONN_WAIT_WRITE);
    cr_assert_eq(next, CONN_WAIT_SOON);
    cr_assert_eq(n_measured(&fixture), 1);
    cr_assert_eq(fixture.counters.greeting_times[metrics_time_bucket(100)], 1);
    cr_assert_eq(fixture.counters.greeting_usec, 100);
    conn_step(&fixture.conn, CONN_FIXTURE_START + 200, &fixture.context);
    cr_assert_eq(n_measured(&fixture), 1);
    free(fixture.greeting.bytes);
    conn_fixture_finish(&fixture);
}

Test(conn, closes_at_once_without_linger)
{
    struct conn_fixture fixture;

    conn_fixture_set(&fixture, net_tcp_pair(), conn_fixture_hello());
    fixture.config.settings.linger_usec = 0;
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_CLOSE);
    conn_fixture_finish(&fixture);
    net_expect_text(fixture.pair.client, CONN_FIXTURE_HELLO);
}

Test(conn, greets_a_client_that_sends_first_without_linger)
{
    struct conn_fixture fixture;
    char text[64];

    conn_fixture_set(&fixture, net_tcp_pair(), conn_fixture_hello());
    fixture.config.settings.linger_usec = 0;
    net_send_zeroes(fixture.pair.client, 100);
    net_wait(fixture.pair.server, POLLIN);
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_CLOSE);
    conn_fixture_finish(&fixture);
    /* A reset may follow the greeting, but must not replace it. */
    net_read(fixture.pair.client, text, strlen(CONN_FIXTURE_HELLO));
    cr_assert_arr_eq(text, CONN_FIXTURE_HELLO, strlen(CONN_FIXTURE_HELLO));
}

ParameterizedTestParameters(conn, greets_a_client_that_sends_first)
{
    static size_t sizes[] = {1, 4096, 60000};
    return cr_make_param_array(size_t, sizes, ELEMENTSOF(sizes));
}

ParameterizedTest(size_t *size, conn, greets_a_client_that_sends_first, .timeout = 60)
{
    struct conn_fixture fixture;

    conn_fixture_set(&fixture, net_tcp_pair(), conn_fixture_hello());
    net_send_zeroes(fixture.pair.client, *size);
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_SOON);
    NET_WAIT_UNTIL(net_outstanding(fixture.conn.fd) == 0 &&
                   net_outstanding(fixture.pair.client) == 0);
    cr_assert_eq(conn_fixture_step(&fixture), CONN_WAIT_CLOSE);
    cr_assert_eq(net_unread(fixture.conn.fd), 0);
    net_expect_text(fixture.pair.client, CONN_FIXTURE_HELLO);
    close(fixture.pair.client);
    cr_assert_eq(conn_fixture_step_while(&fixture, CONN_WAIT_CLOSE), CONN_CLOSE);
    cr_assert_eq(conn_fixture_finish(&fixture).result, RESULT_DELIVERED);
}

/* Far more input than the buffers of both sockets hold. */
#define FLOOD ((size_t)40 * 1024 * 1024)

/* Sends SIZE bytes between steps. Each step must discard a bounded part and return NEXT. */
static void flood(struct conn_fixture *fixture, size_t size, enum conn_next next)
{
    static char bytes[512 * 1024];

    while (size > 0) {
        size_t part = size < sizeof(bytes) ? size : sizeof(bytes);
        ssize_t n = send(fixture->pair.client, bytes, part, MSG_NOSIGNAL | MSG_DONTWAIT);
        size -= n > 0 ? (size_t)n : 0;
        int before = net_unread(fixture->conn.fd);
        cr_assert_eq(conn_fixture_step(fixture), next);
        cr_assert_geq(net_unread(fixture->conn.fd),
                      before - (int)CONN_DISCARD_STEP_MAX - 16 * 1024);
    }
}

Test(conn, closes_a_flooding_client_at_the_linger_limit)
{
    struct conn_fixture fixture;
    char text[64];

    conn_fixture_set(&fixture, net_tcp_pair(), conn_fixture_hello());
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_SOON);
    NET_WAIT_UNTIL(net_outstanding(fixture.conn.fd) == 0);
    flood(&fixture, FLOOD, CONN_WAIT_CLOSE);
    const uint64_t end = CONN_FIXTURE_START + CONN_LINGER_MAX_USEC;
    cr_assert_eq(conn_step(&fixture.conn, end - 1, &fixture.context), CONN_WAIT_CLOSE);
    cr_assert_eq(conn_step(&fixture.conn, end, &fixture.context), CONN_CLOSE);
    cr_assert_eq(conn_fixture_finish(&fixture).result, RESULT_DELIVERED);
    net_read(fixture.pair.client, text, strlen(CONN_FIXTURE_HELLO));
}

Test(conn, lingers_beyond_the_limit_if_configured)
{
    struct conn_fixture fixture;

    conn_fixture_set(&fixture, net_tcp_pair(), conn_fixture_hello());
    fixture.config.settings.linger_usec = 2 * CONN_LINGER_MAX_USEC;
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_SOON);
    NET_WAIT_UNTIL(net_outstanding(fixture.conn.fd) == 0);
    cr_assert_eq(conn_fixture_step(&fixture), CONN_WAIT_CLOSE);
    const uint64_t end = CONN_FIXTURE_START + 2 * CONN_LINGER_MAX_USEC;
    cr_assert_eq(conn_step(&fixture.conn, end - 1, &fixture.context), CONN_WAIT_CLOSE);
    cr_assert_eq(conn_step(&fixture.conn, end, &fixture.context), CONN_CLOSE);
    conn_fixture_finish(&fixture);
}

/* The milliseconds of a client's life begin again at 0 after 49.7 days, those of its linger not. */
Test(conn, lingers_for_sixty_days_at_most_if_configured)
{
    struct conn_fixture fixture;
    const uint64_t day = 86400 * CONN_FIXTURE_SECOND, end = CONN_FIXTURE_START + 60 * day;

    conn_fixture_set(&fixture, net_tcp_pair(), conn_fixture_hello());
    fixture.config.settings.linger_usec = 60 * day;
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_SOON);
    NET_WAIT_UNTIL(net_outstanding(fixture.conn.fd) == 0);
    cr_assert_eq(conn_fixture_step(&fixture), CONN_WAIT_CLOSE);
    cr_assert_eq(conn_step(&fixture.conn, end - 1, &fixture.context), CONN_WAIT_CLOSE);
    cr_assert_eq(conn_step(&fixture.conn, end, &fixture.context), CONN_CLOSE);
    conn_fixture_finish(&fixture);
}

Test(conn, discards_a_flood_until_the_greeting_is_acknowledged)
{
    struct conn_fixture fixture;

    conn_fixture_begin_unacknowledged(&fixture);
    net_await_full(fixture.conn.fd);
    cr_assert_eq(conn_fixture_step(&fixture), CONN_WAIT_ACKNOWLEDGEMENT);
    fixture.conn.progressed = false;
    flood(&fixture, FLOOD, CONN_WAIT_ACKNOWLEDGEMENT);
    cr_assert_not(fixture.conn.progressed, "sending is no acknowledgement");
    cr_assert_eq(conn_expire(&fixture.conn, CONN_FIXTURE_START + 3600 * CONN_FIXTURE_SECOND),
                 CONN_CLOSE);
    cr_assert_eq(conn_fixture_finish(&fixture).result, RESULT_UNCONFIRMED);
    free(fixture.greeting.bytes);
}

Test(conn, sends_only_the_end_of_stream_for_an_empty_greeting)
{
    struct conn_fixture fixture;
    char text[1];

    conn_fixture_set(&fixture, net_tcp_pair(), (struct greeting){.bytes = NULL, .size = 0});
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_SOON);
    cr_assert_eq(net_read_to_end(fixture.pair.client, text, sizeof(text)), 0);
    close(fixture.pair.client);
    cr_assert_eq(conn_fixture_step_while(&fixture, CONN_WAIT_CLOSE), CONN_CLOSE);
    cr_assert_eq(conn_fixture_finish(&fixture).result, RESULT_DELIVERED);
}

ParameterizedTestParameters(conn, sends_a_huge_greeting_to_a_slow_reader)
{
    return conn_fixture_kinds();
}

ParameterizedTest(int *kind, conn, sends_a_huge_greeting_to_a_slow_reader, .timeout = 60)
{
    const size_t size = (size_t)12 * 1024 * 1024;
    _cleanup_free_ char *bytes = malloc(size);
    struct conn_fixture fixture;
    char beyond[1];

    conn_fixture_set(&fixture, net_pair_of(*kind), net_long_greeting(size));
    fixture.socket.type = *kind;
    enum conn_next next = conn_fixture_begin(&fixture);
    cr_assert_eq(next, CONN_WAIT_WRITE);
    cr_assert_eq(fixture.conn.state, CONN_WRITING);
    next = conn_fixture_read(&fixture, next, bytes, size, 64 * 1024);
    cr_assert_eq(next, CONN_WAIT_SOON);
    cr_assert_eq(memcmp(bytes, fixture.greeting.bytes, size), 0);
    cr_assert_eq(net_read_to_end(fixture.pair.client, beyond, 1), 0);

    close(fixture.pair.client);
    cr_assert_eq(conn_fixture_step_while(&fixture, CONN_WAIT_CLOSE), CONN_CLOSE);
    cr_assert_eq(conn_fixture_finish(&fixture).result, RESULT_DELIVERED);
    free(fixture.greeting.bytes);
}

Test(conn, discards_the_input_of_a_client_that_writes_before_it_reads)
{
    const size_t size = (size_t)12 * 1024 * 1024;
    _cleanup_free_ char *bytes = malloc(size);
    struct conn_fixture fixture;

    conn_fixture_set(&fixture, net_tcp_pair(), net_long_greeting(size));
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_WRITE);
    net_await_full(fixture.conn.fd);
    cr_assert_eq(conn_fixture_step(&fixture), CONN_WAIT_WRITE);
    fixture.conn.progressed = false;
    flood(&fixture, FLOOD, CONN_WAIT_WRITE);
    cr_assert_not(fixture.conn.progressed, "sending is no acknowledgement");
    cr_assert_eq(conn_fixture_read(&fixture, CONN_WAIT_WRITE, bytes, size, size), CONN_WAIT_SOON);
    cr_assert_eq(memcmp(bytes, fixture.greeting.bytes, size), 0);
    free(fixture.greeting.bytes);
}

Test(conn, greets_a_client_that_half_closes_before_the_greeting)
{
    struct conn_fixture fixture;

    conn_fixture_set(&fixture, net_tcp_pair(), conn_fixture_hello());
    shutdown(fixture.pair.client, SHUT_WR);
    net_wait(fixture.pair.server, POLLIN);
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_SOON);
    NET_WAIT_UNTIL(net_outstanding(fixture.conn.fd) == 0);
    cr_assert_eq(conn_fixture_step(&fixture), CONN_CLOSE);
    cr_assert_eq(conn_fixture_finish(&fixture).result, RESULT_DELIVERED);
    net_expect_text(fixture.pair.client, CONN_FIXTURE_HELLO);
}

Test(conn, greets_a_client_that_half_closes_during_the_greeting)
{
    const size_t size = (size_t)12 * 1024 * 1024;
    _cleanup_free_ char *bytes = malloc(size);
    struct conn_fixture fixture;

    conn_fixture_set(&fixture, net_tcp_pair(), net_long_greeting(size));
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_WRITE);
    shutdown(fixture.pair.client, SHUT_WR);
    net_wait(fixture.conn.fd, POLLIN);
    cr_assert_eq(conn_fixture_step(&fixture), CONN_WAIT_WRITE);
    cr_assert(fixture.conn.input_ended);
    enum conn_next next = conn_fixture_read(&fixture, CONN_WAIT_WRITE, bytes, size, 64 * 1024);
    cr_assert_eq(memcmp(bytes, fixture.greeting.bytes, size), 0);
    NET_WAIT_UNTIL(net_outstanding(fixture.conn.fd) == 0);
    if (next == CONN_WAIT_SOON)
        next = conn_fixture_poll(&fixture);
    cr_assert_eq(next, CONN_CLOSE);
    cr_assert_eq(conn_fixture_finish(&fixture).result, RESULT_DELIVERED);
    cr_assert_eq(net_read_to_end(fixture.pair.client, bytes, 1), 0);
    free(fixture.greeting.bytes);
}

static uint32_t logged_rtt(struct conn_fixture *fixture)
{
    cr_assert_eq(conn_fixture_begin(fixture), CONN_WAIT_SOON);
    return conn_fixture_finish(fixture).rtt_usec;
}

static uint32_t logged_rtt_with(unsigned needs, bool fast_open)
{
    struct conn_fixture fixture;
    struct greeting hello = conn_fixture_hello();

    hello.needs = needs;
    conn_fixture_set(&fixture, net_tcp_pair(), hello);
    fixture.listener.fast_open = fast_open;
    return logged_rtt(&fixture);
}

Test(conn, logs_a_round_trip_time_where_it_is_read_anyway)
{
    struct conn_fixture fixture;
    struct greeting hello = conn_fixture_hello();

    cr_expect_eq(logged_rtt_with(VARIABLE_NEEDS_LOCAL, false), 0);
    cr_expect_gt(logged_rtt_with(VARIABLE_NEEDS_RTT, false), 0);
    cr_expect_gt(logged_rtt_with(0, true), 0);

    hello.needs = VARIABLE_NEEDS_RTT;
    conn_fixture_set(&fixture, net_local_pair(SOCK_STREAM), hello);
    cr_expect_eq(logged_rtt(&fixture), 0);
}
