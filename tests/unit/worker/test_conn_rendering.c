/* SPDX-License-Identifier: MIT */

/* Tests of greetings with variables, and of the copy of the unsent rest for a slow client. */

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
#include "support/fake_prometheus.h"
#include "support/fake_send.h"
#include "support/net.h"

#define HUGE ((size_t)12 * 1024 * 1024)

TestSuite(conn_rendering, .timeout = 60);

/* The value of $metrics. The greeting is this text and the number of the connection. */
struct text {
    const char *bytes;
    size_t size;
};

static const struct text *metrics_text;

static size_t write_text(char *buffer, size_t size)
{
    size_t n = metrics_text->size < size ? metrics_text->size : size - 1;

    if (size > 0) {
        memcpy(buffer, metrics_text->bytes, n);
        buffer[n] = '\0';
    }
    return metrics_text->size;
}

/* Prepares PAIR for a greeting of VALUE and the number of the client, 7. */
static void open_fixture(struct conn_fixture *fixture, struct net_pair pair,
                         const struct text *value)
{
    struct greeting *greeting = NULL;
    struct diagnostics diagnostics = DIAGNOSTICS_NULL;

    cr_assert_eq(
        template_compile(&greeting, "$metrics #$connection", "f:1", "Message", &diagnostics), 0);
    conn_fixture_set(fixture, pair, *greeting);
    free(greeting);
    metrics_text = value;
    fake_prometheus = write_text;
}

static void close_fixture(struct conn_fixture *fixture)
{
    free(fixture->greeting.bytes);
    free(fixture->greeting.pieces);
    buffer_deinit(&fixture->context.rendered);
}

static struct text huge_text(void)
{
    return (struct text){.bytes = net_long_greeting(HUGE).bytes, .size = HUGE};
}

/* Overwrites the buffer of the worker, as the greeting of another client would. */
static void overwrite_render(struct conn_fixture *fixture)
{
    struct buffer *rendered = &fixture->context.rendered;

    memset(rendered->bytes, '-', rendered->capacity);
}

ParameterizedTestParameters(conn_rendering, sends_at_once_what_the_kernel_takes)
{
    return conn_fixture_kinds();
}

ParameterizedTest(int *kind, conn_rendering, sends_at_once_what_the_kernel_takes, .timeout = 60)
{
    struct text text = {"Hello", 5};
    struct conn_fixture fixture;
    char bytes[64];

    open_fixture(&fixture, net_pair_of(*kind), &text);
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_SOON);
    cr_assert_not(fixture.conn.has_unsent);
    cr_assert_eq(net_read_to_end(fixture.pair.client, bytes, sizeof(bytes)), 8);
    cr_assert_arr_eq(bytes, "Hello #7", 8);
    close(fixture.pair.client);
    cr_assert_eq(conn_fixture_step_while(&fixture, CONN_WAIT_CLOSE), CONN_CLOSE);

    struct connection_record record = conn_fixture_finish(&fixture);
    cr_assert_eq(record.result, RESULT_DELIVERED);
    cr_assert_eq(record.bytes, 8);
    cr_assert_eq(record.number, 7);
    close_fixture(&fixture);
}

Test(conn_rendering, sends_only_the_end_of_stream_if_empty)
{
    struct text text = {"", 0};
    struct conn_fixture fixture;
    char byte;

    open_fixture(&fixture, net_tcp_pair(), &text);
    fixture.greeting.n_pieces = 1;
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_SOON);
    cr_assert_eq(net_read_to_end(fixture.pair.client, &byte, 1), 0);
    NET_WAIT_UNTIL(net_outstanding(fixture.conn.fd) == 0);
    cr_assert_eq(conn_fixture_finish(&fixture).result, RESULT_DELIVERED);
    close_fixture(&fixture);
}

ParameterizedTestParameters(conn_rendering, keeps_the_rest_for_a_slow_reader)
{
    return conn_fixture_kinds();
}

ParameterizedTest(int *kind, conn_rendering, keeps_the_rest_for_a_slow_reader, .timeout = 60)
{
    struct text text = huge_text();
    _cleanup_free_ char *bytes = malloc(HUGE + 3);
    struct conn_fixture fixture;

    open_fixture(&fixture, net_pair_of(*kind), &text);
    fixture.socket.type = *kind;
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_WRITE);
    cr_assert(fixture.conn.has_unsent);
    overwrite_render(&fixture);
    cr_assert_eq(conn_fixture_read(&fixture, CONN_WAIT_WRITE, bytes, HUGE + 3, 65536),
                 CONN_WAIT_SOON);
    cr_assert_arr_eq(bytes, text.bytes, HUGE);
    cr_assert_arr_eq(bytes + HUGE, " #7", 3);
    cr_assert_eq(net_read_to_end(fixture.pair.client, bytes, 1), 0);
    cr_assert_eq(fixture.conn.state, CONN_GREETED);
    cr_assert_not(fixture.conn.has_unsent);

    close(fixture.pair.client);
    cr_assert_eq(conn_fixture_step_while(&fixture, CONN_WAIT_CLOSE), CONN_CLOSE);
    struct connection_record record = conn_fixture_finish(&fixture);
    cr_assert_eq(record.result, RESULT_DELIVERED);
    cr_assert_eq(record.bytes, HUGE + 3);
    cr_assert_eq(record.number, 7);
    close_fixture(&fixture);
    free((char *)text.bytes);
}

Test(conn_rendering, keeps_the_greeting_while_the_kernel_has_no_memory)
{
    struct text text = {"Hello", 5};
    struct conn_fixture fixture;
    char bytes[64];

    open_fixture(&fixture, net_tcp_pair(), &text);
    fake_send_error = ENOBUFS;
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_SOON);
    overwrite_render(&fixture);
    cr_assert_eq(conn_fixture_step(&fixture), CONN_WAIT_SOON);
    cr_assert(fixture.conn.has_unsent);
    fake_send_error = 0;
    cr_assert_eq(conn_fixture_step(&fixture), CONN_WAIT_SOON);
    cr_assert_not(fixture.conn.has_unsent);
    cr_assert_eq(net_read_to_end(fixture.pair.client, bytes, sizeof(bytes)), 8);
    cr_assert_arr_eq(bytes, "Hello #7", 8);
    conn_fixture_finish(&fixture);
    close_fixture(&fixture);
}

Test(conn_rendering, frees_the_rest_when_the_client_resets)
{
    struct text text = huge_text();
    struct conn_fixture fixture;

    open_fixture(&fixture, net_tcp_pair(), &text);
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_WRITE);
    net_reset(fixture.pair.client);
    net_wait(fixture.conn.fd, POLLIN);
    cr_assert_eq(conn_fixture_step(&fixture), CONN_CLOSE);
    struct connection_record record = conn_fixture_finish(&fixture);
    cr_assert_eq(record.result, RESULT_RESET);
    cr_assert_eq(record.number, 7);
    cr_assert_not(fixture.conn.has_unsent);
    close_fixture(&fixture);
    free((char *)text.bytes);
}

Test(conn_rendering, ends_with_an_error_if_rendering_fails)
{
    struct text text = {"", 0};
    struct conn_fixture fixture;

    open_fixture(&fixture, net_tcp_pair(), &text);
    fake_prometheus = fake_prometheus_endless;
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_CLOSE);
    struct connection_record record = conn_fixture_finish(&fixture);
    cr_assert_eq(record.result, RESULT_ERROR);
    cr_assert_eq(record.bytes, 0);
    close_fixture(&fixture);
}
