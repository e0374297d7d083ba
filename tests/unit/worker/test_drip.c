/* SPDX-License-Identifier: MIT */
#include "greetd/worker/drip.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdlib.h>
#include <string.h>

#include "greetd/base/cleanup.h"
#include "greetd/greeting/template.h"
#include "greetd/journal/record.h"
#include "greetd/metrics/result.h"
#include "greetd/worker/conn.h"
#include "support/conn_fixture.h"
#include "support/net.h"

#define HUGE ((size_t)12 * 1024 * 1024)

TestSuite(drip, .timeout = 60);

static struct greeting greeting_of(const char *text)
{
    return (struct greeting){.bytes = (char *)text, .size = strlen(text)};
}

/* Prepares PAIR for GREETING with DripSec=10. */
static void set(struct conn_fixture *fixture, struct net_pair pair, struct greeting greeting)
{
    conn_fixture_set(fixture, pair, greeting);
    fixture->config.settings.drip_usec = 10 * CONN_FIXTURE_SECOND;
}

/* Takes a step, which must return NEXT, and reads exactly TEXT; there is no more to read yet. */
static void expect_line(struct conn_fixture *fixture, enum conn_next next, const char *text)
{
    char bytes[64];
    char beyond;

    cr_assert_eq(conn_fixture_step(fixture), next);
    net_read(fixture->pair.client, bytes, strlen(text));
    cr_assert_arr_eq(bytes, text, strlen(text));
    if (next == CONN_WAIT_DRIP)
        cr_assert_eq(recv(fixture->pair.client, &beyond, 1, MSG_DONTWAIT), -1);
}

static void expect_end(struct conn_fixture *fixture)
{
    char beyond;

    cr_assert_eq(net_read_to_end(fixture->pair.client, &beyond, 1), 0);
}

ParameterizedTestParameters(drip, sends_a_line_at_each_step)
{
    return conn_fixture_kinds();
}

ParameterizedTest(int *kind, drip, sends_a_line_at_each_step, .timeout = 60)
{
    struct conn_fixture fixture;

    set(&fixture, net_pair_of(*kind), greeting_of("one\n\ntwo"));
    if (*kind != 0)
        fixture.socket.type = *kind;
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_DRIP);
    cr_assert_eq(fixture.conn.sent, 0);
    expect_line(&fixture, CONN_WAIT_DRIP, "one\n");
    expect_line(&fixture, CONN_WAIT_DRIP, "\n");
    expect_line(&fixture, CONN_WAIT_SOON, "two");
    expect_end(&fixture);
    NET_WAIT_UNTIL(net_outstanding(fixture.conn.fd) == 0);
    struct connection_record record = conn_fixture_finish(&fixture);
    cr_assert_eq(record.result, RESULT_DELIVERED);
    cr_assert_eq(record.bytes, 8);
}

Test(drip, ends_the_stream_after_a_last_newline)
{
    struct conn_fixture fixture;

    set(&fixture, net_tcp_pair(), greeting_of("one\n"));
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_DRIP);
    expect_line(&fixture, CONN_WAIT_SOON, "one\n");
    expect_end(&fixture);
    conn_fixture_finish(&fixture);
}

Test(drip, ends_the_stream_of_an_empty_greeting_at_once)
{
    struct conn_fixture fixture;

    set(&fixture, net_tcp_pair(), greeting_of(""));
    fixture.config.settings.drip_repeat = true;
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_SOON);
    expect_end(&fixture);
    conn_fixture_finish(&fixture);
}

Test(drip, begins_again_after_the_last_line)
{
    struct conn_fixture fixture;

    set(&fixture, net_tcp_pair(), greeting_of("one\ntwo"));
    fixture.config.settings.drip_repeat = true;
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_DRIP);
    for (unsigned i = 0; i < 3; i++) {
        expect_line(&fixture, CONN_WAIT_DRIP, "one\n");
        expect_line(&fixture, CONN_WAIT_DRIP, "two");
    }
    struct connection_record record = conn_fixture_finish(&fixture);
    cr_assert_eq(record.result, RESULT_PARTIAL);
    cr_assert_eq(record.bytes, 21);
}

/* UINT32_MAX is a multiple of the size. */
Test(drip, ends_the_stream_before_the_count_of_bytes_overflows)
{
    struct conn_fixture fixture;

    set(&fixture, net_tcp_pair(), greeting_of("ab\nc\n"));
    fixture.config.settings.drip_repeat = true;
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_DRIP);
    fixture.conn.sent = UINT32_MAX - 10;
    for (unsigned i = 0; i < 2; i++) {
        expect_line(&fixture, CONN_WAIT_DRIP, "ab\n");
        expect_line(&fixture, i == 0 ? CONN_WAIT_DRIP : CONN_WAIT_SOON, "c\n");
    }
    expect_end(&fixture);
    NET_WAIT_UNTIL(net_outstanding(fixture.conn.fd) == 0);
    struct connection_record record = conn_fixture_finish(&fixture);
    cr_assert_eq(record.result, RESULT_DELIVERED);
    cr_assert_eq(record.bytes, UINT32_MAX);
}

Test(drip, sends_the_rest_of_the_pass_when_the_worker_stops)
{
    struct conn_fixture fixture;

    set(&fixture, net_tcp_pair(), greeting_of("one\ntwo\nthree\n"));
    fixture.config.settings.drip_repeat = true;
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_DRIP);
    for (unsigned i = 0; i < 2; i++) {
        expect_line(&fixture, CONN_WAIT_DRIP, "one\n");
        expect_line(&fixture, CONN_WAIT_DRIP, "two\n");
        if (i == 0)
            expect_line(&fixture, CONN_WAIT_DRIP, "three\n");
    }
    fixture.context.stopping = true;
    expect_line(&fixture, CONN_WAIT_SOON, "three\n");
    expect_end(&fixture);
    conn_fixture_finish(&fixture);
}

Test(drip, sends_nothing_after_a_whole_pass_when_the_worker_stops)
{
    struct conn_fixture fixture;

    set(&fixture, net_tcp_pair(), greeting_of("one\ntwo\n"));
    fixture.config.settings.drip_repeat = true;
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_DRIP);
    expect_line(&fixture, CONN_WAIT_DRIP, "one\n");
    expect_line(&fixture, CONN_WAIT_DRIP, "two\n");
    fixture.context.stopping = true;
    cr_assert_eq(conn_fixture_step(&fixture), CONN_WAIT_SOON);
    expect_end(&fixture);
    conn_fixture_finish(&fixture);
}

Test(drip, greets_at_once_while_the_worker_stops)
{
    struct conn_fixture fixture;

    set(&fixture, net_tcp_pair(), greeting_of("one\ntwo\n"));
    fixture.context.stopping = true;
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_SOON);
    net_expect_text(fixture.pair.client, "one\ntwo\n");
    conn_fixture_finish(&fixture);
}

/* The buffer of the worker has the greetings of others meanwhile. */
Test(drip, renders_a_greeting_once_and_keeps_it)
{
    struct conn_fixture fixture;
    struct greeting *greeting = NULL;
    struct diagnostics diagnostics = DIAGNOSTICS_NULL;

    cr_assert_eq(
        template_compile(&greeting, "#$connection\\nend\\n", "f:1", "Message", &diagnostics), 0);
    set(&fixture, net_tcp_pair(), *greeting);
    fixture.config.settings.drip_repeat = true;
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_DRIP);
    memset(fixture.context.rendered.bytes, '-', fixture.context.rendered.capacity);
    for (unsigned i = 0; i < 2; i++) {
        expect_line(&fixture, CONN_WAIT_DRIP, "#7\n");
        expect_line(&fixture, CONN_WAIT_DRIP, "end\n");
    }
    fixture.config.settings.drip_repeat = false;
    expect_line(&fixture, CONN_WAIT_DRIP, "#7\n");
    cr_assert(fixture.conn.has_unsent);
    expect_line(&fixture, CONN_WAIT_SOON, "end\n");
    cr_assert_not(fixture.conn.has_unsent);
    expect_end(&fixture);
    cr_assert_eq(conn_fixture_finish(&fixture).number, 7);
    greeting_unref(greeting);
    buffer_deinit(&fixture.context.rendered);
}

/* Reads the line of HUGE bytes, and steps as the kernel takes more of it. */
static void read_huge_line(struct conn_fixture *fixture)
{
    _cleanup_free_ char *bytes = malloc(HUGE);

    cr_assert_eq(conn_fixture_step(fixture), CONN_WAIT_WRITE);
    cr_assert_eq(conn_fixture_read(fixture, CONN_WAIT_WRITE, bytes, HUGE, 65536), CONN_WAIT_DRIP);
    cr_assert_arr_eq(bytes, fixture->greeting.bytes, HUGE);
}

Test(drip, continues_after_a_line_that_the_client_takes_slowly)
{
    struct conn_fixture fixture;
    struct greeting greeting = net_long_greeting(HUGE + 4);

    memset(greeting.bytes, 'x', HUGE);
    memcpy(greeting.bytes + HUGE - 1, "\nend\n", 5);
    set(&fixture, net_tcp_pair(), greeting);
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_DRIP);
    read_huge_line(&fixture);
    expect_line(&fixture, CONN_WAIT_SOON, "end\n");
    expect_end(&fixture);
    conn_fixture_finish(&fixture);
    free(greeting.bytes);
}

Test(drip, times_out_in_the_middle_of_a_line)
{
    struct conn_fixture fixture;
    struct greeting greeting = net_long_greeting(HUGE);

    memset(greeting.bytes, 'x', HUGE);
    greeting.bytes[0] = '\n';
    set(&fixture, net_tcp_pair(), greeting);
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_DRIP);
    expect_line(&fixture, CONN_WAIT_DRIP, "\n");
    cr_assert_eq(conn_fixture_step(&fixture), CONN_WAIT_WRITE);
    do
        net_await_full(fixture.conn.fd);
    while (conn_expire(&fixture.conn, CONN_FIXTURE_START) == CONN_WAIT_WRITE);
    struct connection_record record = conn_fixture_finish(&fixture);
    cr_assert_eq(record.result, RESULT_TIMEOUT);
    cr_assert_gt(record.bytes, 1);
    free(greeting.bytes);
}

Test(drip, discards_input_before_each_line)
{
    struct conn_fixture fixture;

    set(&fixture, net_tcp_pair(), greeting_of("one\ntwo\n"));
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_DRIP);
    net_send_zeroes(fixture.pair.client, 1000);
    net_wait(fixture.conn.fd, POLLIN);
    expect_line(&fixture, CONN_WAIT_DRIP, "one\n");
    cr_assert_eq(net_unread(fixture.conn.fd), 0);
    conn_fixture_finish(&fixture);
}

Test(drip, continues_after_a_half_close)
{
    struct conn_fixture fixture;

    set(&fixture, net_tcp_pair(), greeting_of("one\ntwo\nthree\n"));
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_DRIP);
    shutdown(fixture.pair.client, SHUT_WR);
    net_wait(fixture.conn.fd, POLLIN);
    expect_line(&fixture, CONN_WAIT_DRIP, "one\n");
    expect_line(&fixture, CONN_WAIT_DRIP, "two\n");
    cr_assert_neq(conn_fixture_step(&fixture), CONN_WAIT_DRIP);
    net_expect_text(fixture.pair.client, "three\n");
    NET_WAIT_UNTIL(net_outstanding(fixture.conn.fd) == 0);
    cr_assert_eq(conn_fixture_finish(&fixture).result, RESULT_DELIVERED);
}

Test(drip, notices_a_reset_at_the_next_line)
{
    struct conn_fixture fixture;

    set(&fixture, net_tcp_pair(), greeting_of("one\ntwo\n"));
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_DRIP);
    expect_line(&fixture, CONN_WAIT_DRIP, "one\n");
    net_reset(fixture.pair.client);
    net_wait(fixture.conn.fd, POLLIN);
    cr_assert_eq(conn_fixture_step(&fixture), CONN_CLOSE);
    struct connection_record record = conn_fixture_finish(&fixture);
    cr_assert_eq(record.result, RESULT_RESET);
    cr_assert_eq(record.bytes, 4);
}

Test(drip, notices_a_client_that_has_closed_at_the_line_after_the_next)
{
    struct conn_fixture fixture;

    set(&fixture, net_tcp_pair(), greeting_of("one\ntwo\nthree\n"));
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_DRIP);
    expect_line(&fixture, CONN_WAIT_DRIP, "one\n");
    close(fixture.pair.client);
    net_wait(fixture.conn.fd, POLLIN);
    cr_assert_eq(conn_fixture_step(&fixture), CONN_WAIT_DRIP);
    net_wait(fixture.conn.fd, 0);
    cr_assert_eq(conn_fixture_step(&fixture), CONN_CLOSE);
    struct connection_record record = conn_fixture_finish(&fixture);
    cr_assert_eq(record.result, RESULT_RESET);
    cr_assert_eq(record.bytes, 8);
}

Test(drip, reports_a_reset_that_close_finds)
{
    struct conn_fixture fixture;

    set(&fixture, net_tcp_pair(), greeting_of("one\ntwo\n"));
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_DRIP);
    expect_line(&fixture, CONN_WAIT_DRIP, "one\n");
    net_reset(fixture.pair.client);
    net_wait(fixture.conn.fd, POLLIN);
    cr_assert_eq(conn_fixture_finish(&fixture).result, RESULT_RESET);
}

/* Closing with unread input would send a reset. */
Test(drip, closes_a_client_with_a_clean_end_of_stream)
{
    struct conn_fixture fixture;
    char bytes[64];

    set(&fixture, net_tcp_pair(), greeting_of("one\ntwo\n"));
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_DRIP);
    cr_assert_eq(conn_fixture_step(&fixture), CONN_WAIT_DRIP);
    net_send_zeroes(fixture.pair.client, 1000);
    net_wait(fixture.conn.fd, POLLIN);
    cr_assert_eq(conn_fixture_finish(&fixture).result, RESULT_PARTIAL);
    cr_assert_eq(net_read_to_end(fixture.pair.client, bytes, sizeof(bytes)), 4);
}

Test(drip, begins_with_the_first_data)
{
    struct conn_fixture fixture;

    set(&fixture, net_tcp_pair(), greeting_of("one\n"));
    fixture.config.settings.greet_on = GREET_ON_DATA;
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_DATA);
    net_send_zeroes(fixture.pair.client, 1);
    net_wait(fixture.conn.fd, POLLIN);
    cr_assert_eq(conn_fixture_step(&fixture), CONN_WAIT_DRIP);
    cr_assert_eq(fixture.conn.sent, 0);
    expect_line(&fixture, CONN_WAIT_SOON, "one\n");
    conn_fixture_finish(&fixture);
}

Test(drip, is_counted_as_a_greeting_but_not_timed)
{
    struct conn_fixture fixture;

    set(&fixture, net_tcp_pair(), greeting_of("one\n"));
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_DRIP);
    expect_line(&fixture, CONN_WAIT_SOON, "one\n");
    cr_assert_eq(fixture.counters.greeted, 1);
    for (size_t i = 0; i < METRICS_TIMES; i++)
        cr_assert_eq(fixture.counters.greeting_times[i], 0);
    conn_fixture_finish(&fixture);
}
