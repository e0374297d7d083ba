/* SPDX-License-Identifier: MIT */

/* Tests of clients that half-close the connection and have not acknowledged their greeting yet. */

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "greetd/base/cleanup.h"
#include "greetd/journal/record.h"
#include "greetd/metrics/result.h"
#include "greetd/worker/conn.h"
#include "support/conn_fixture.h"
#include "support/net.h"

TestSuite(conn_half_close, .timeout = 60);

static bool has_failed(int fd)
{
    struct pollfd pollfd = {.fd = fd};

    return poll(&pollfd, 1, 0) > 0 && (pollfd.revents & POLLERR);
}

static bool has_hung_up(int fd)
{
    struct pollfd pollfd = {.fd = fd, .events = POLLIN};

    return poll(&pollfd, 1, 0) > 0 && (pollfd.revents & POLLHUP);
}

/* A hang-up means that both ends have sent everything, not that everything has arrived. */
Test(conn_half_close, does_not_acknowledge_the_greeting)
{
    struct conn_fixture fixture;
    _cleanup_free_ char *bytes = NULL;

    conn_fixture_begin_unacknowledged(&fixture);
    shutdown(fixture.pair.client, SHUT_WR);
    net_wait(fixture.conn.fd, POLLIN);
    cr_assert(has_hung_up(fixture.conn.fd));
    cr_assert_eq(conn_fixture_poll(&fixture), CONN_WAIT_ACKNOWLEDGEMENT);
    cr_assert_eq(conn_fixture_step(&fixture), CONN_WAIT_ACKNOWLEDGEMENT);

    bytes = malloc(fixture.greeting.size);
    cr_assert_eq(net_read_to_end(fixture.pair.client, bytes, fixture.greeting.size),
                 (ssize_t)fixture.greeting.size);
    NET_WAIT_UNTIL(net_outstanding(fixture.conn.fd) == 0);
    cr_assert_eq(conn_fixture_step(&fixture), CONN_CLOSE);
    cr_assert_eq(conn_fixture_finish(&fixture).result, RESULT_DELIVERED);
    free(fixture.greeting.bytes);
}

/* Both have arrived at the first poll, and no event follows. */
Test(conn_half_close, reports_a_reset_that_arrives_with_the_end_of_stream)
{
    struct conn_fixture fixture;

    conn_fixture_begin_unacknowledged(&fixture);
    shutdown(fixture.pair.client, SHUT_WR);
    net_wait(fixture.conn.fd, POLLIN);
    net_reset(fixture.pair.client);
    NET_WAIT_UNTIL(has_failed(fixture.conn.fd));
    cr_assert_eq(conn_fixture_poll(&fixture), CONN_CLOSE);
    cr_assert_eq(conn_fixture_finish(&fixture).result, RESULT_RESET);
    free(fixture.greeting.bytes);
}

/* recv(2) still returns 0 after the reset, as at the end of stream. */
Test(conn_half_close, reports_a_reset_that_arrives_later)
{
    struct conn_fixture fixture;

    conn_fixture_begin_unacknowledged(&fixture);
    shutdown(fixture.pair.client, SHUT_WR);
    net_wait(fixture.conn.fd, POLLIN);
    cr_assert_eq(conn_fixture_step(&fixture), CONN_WAIT_ACKNOWLEDGEMENT);
    cr_assert(fixture.conn.input_ended);
    net_reset(fixture.pair.client);
    net_wait(fixture.conn.fd, 0);
    NET_WAIT_UNTIL(conn_fixture_step(&fixture) == CONN_CLOSE);
    struct connection_record record = conn_fixture_finish(&fixture);
    cr_assert_eq(record.result, RESULT_RESET);
    cr_assert_lt(record.bytes_acked, record.bytes);
    free(fixture.greeting.bytes);
}

ParameterizedTestParameters(conn_half_close, reports_a_local_client_that_leaves_bytes_unread)
{
    static int kinds[] = {SOCK_STREAM, SOCK_SEQPACKET};

    return cr_make_param_array(int, kinds, ELEMENTSOF(kinds));
}

/* No memory of the kernel is in use any more, as if the client had read the greeting. */
ParameterizedTest(int *kind, conn_half_close, reports_a_local_client_that_leaves_bytes_unread)
{
    struct conn_fixture fixture;

    conn_fixture_set(&fixture, net_pair_of(*kind), conn_fixture_hello());
    shutdown(fixture.pair.client, SHUT_WR);
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_SOON);
    cr_assert_eq(conn_fixture_step(&fixture), CONN_WAIT_ACKNOWLEDGEMENT);
    cr_assert(fixture.conn.input_ended);
    close(fixture.pair.client);
    cr_assert_eq(conn_fixture_step(&fixture), CONN_CLOSE);
    struct connection_record record = conn_fixture_finish(&fixture);
    cr_assert_eq(record.result, RESULT_RESET);
    cr_assert_eq(record.bytes_acked, 0);
}

/* Between the poll of many clients and its turn. */
Test(conn_half_close, reports_a_local_client_that_leaves_after_the_poll)
{
    struct conn_fixture fixture;

    conn_fixture_set(&fixture, net_pair_of(SOCK_STREAM), conn_fixture_hello());
    shutdown(fixture.pair.client, SHUT_WR);
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_SOON);
    cr_assert(has_hung_up(fixture.conn.fd));
    close(fixture.pair.client);
    cr_assert_eq(conn_poll(&fixture.conn, POLLIN | POLLHUP, CONN_FIXTURE_START, &fixture.context),
                 CONN_CLOSE);
    cr_assert_eq(conn_fixture_finish(&fixture).result, RESULT_RESET);
}
