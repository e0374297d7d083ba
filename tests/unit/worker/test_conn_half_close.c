/* SPDX-License-Identifier: MIT */

/* Clients that half-close their connection, and still have to acknowledge their greeting. */

#include <criterion/criterion.h>
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

/* A hang-up says that both ends have sent all, not that all has arrived. */
Test(conn_half_close, a_half_close_is_no_acknowledgement)
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

/* Both are there at the first look, and nothing will come after them. */
Test(conn_half_close, together_with_a_reset_is_a_reset)
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

/* recv(2) returns 0 then, as if nothing had happened since the end of stream. */
Test(conn_half_close, followed_by_a_reset_is_a_reset)
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
