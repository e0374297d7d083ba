/* SPDX-License-Identifier: MIT */

/* Greetings that are rendered for each client, sent to clients that take them at once or not. */

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

/* The value of $metrics; the greeting is this and the number of the connection. */
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

/* Sets up a client that is greeted with all of VALUE, whatever it holds, and its number, 7. */
static void set(struct conn_fixture *fixture, struct net_pair pair, const struct text *value)
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

static void unset(struct conn_fixture *fixture)
{
    free(fixture->greeting.bytes);
    free(fixture->greeting.pieces);
    buffer_deinit(&fixture->context.rendered);
}

static struct text huge_text(void)
{
    return (struct text){.bytes = net_long_greeting(HUGE).bytes, .size = HUGE};
}

/* Another client is greeted meanwhile, so that nothing of the first greeting is left in the buffer.
 */
static void overwrite_render(struct conn_fixture *fixture)
{
    struct buffer *rendered = &fixture->context.rendered;

    memset(rendered->bytes, '-', rendered->capacity);
}

ParameterizedTestParameters(conn_rendering, is_sent_at_once_if_the_kernel_takes_it)
{
    return conn_fixture_kinds();
}

ParameterizedTest(int *kind, conn_rendering, is_sent_at_once_if_the_kernel_takes_it, .timeout = 60)
{
    struct text text = {"Hello", 5};
    struct conn_fixture fixture;
    char bytes[64];

    set(&fixture, net_pair_of(*kind), &text);
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
    unset(&fixture);
}

Test(conn_rendering, may_be_empty)
{
    struct text text = {"", 0};
    struct conn_fixture fixture;
    char byte;

    set(&fixture, net_tcp_pair(), &text);
    fixture.greeting.n_pieces = 1;
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_SOON);
    cr_assert_eq(net_read_to_end(fixture.pair.client, &byte, 1), 0);
    NET_WAIT_UNTIL(net_outstanding(fixture.conn.fd) == 0);
    cr_assert_eq(conn_fixture_finish(&fixture).result, RESULT_DELIVERED);
    unset(&fixture);
}

ParameterizedTestParameters(conn_rendering, is_kept_for_a_slow_reader)
{
    return conn_fixture_kinds();
}

ParameterizedTest(int *kind, conn_rendering, is_kept_for_a_slow_reader, .timeout = 60)
{
    struct text text = huge_text();
    _cleanup_free_ char *bytes = malloc(HUGE + 3);
    struct conn_fixture fixture;

    set(&fixture, net_pair_of(*kind), &text);
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
    unset(&fixture);
    free((char *)text.bytes);
}

Test(conn_rendering, is_kept_while_the_kernel_has_no_memory)
{
    struct text text = {"Hello", 5};
    struct conn_fixture fixture;
    char bytes[64];

    set(&fixture, net_tcp_pair(), &text);
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
    unset(&fixture);
}

Test(conn_rendering, is_freed_with_a_client_that_goes_in_the_middle)
{
    struct text text = huge_text();
    struct conn_fixture fixture;

    set(&fixture, net_tcp_pair(), &text);
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_WRITE);
    net_reset(fixture.pair.client);
    net_wait(fixture.conn.fd, POLLIN);
    cr_assert_eq(conn_fixture_step(&fixture), CONN_CLOSE);
    struct connection_record record = conn_fixture_finish(&fixture);
    cr_assert_eq(record.result, RESULT_RESET);
    cr_assert_eq(record.number, 7);
    cr_assert_not(fixture.conn.has_unsent);
    unset(&fixture);
    free((char *)text.bytes);
}

Test(conn_rendering, is_an_error_if_it_can_not_be_rendered)
{
    struct text text = {"", 0};
    struct conn_fixture fixture;

    set(&fixture, net_tcp_pair(), &text);
    fake_prometheus = fake_prometheus_endless;
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_CLOSE);
    struct connection_record record = conn_fixture_finish(&fixture);
    cr_assert_eq(record.result, RESULT_ERROR);
    cr_assert_eq(record.bytes, 0);
    unset(&fixture);
}
