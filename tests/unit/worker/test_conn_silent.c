/* SPDX-License-Identifier: MIT */

/* Tests of silent connections, which the client closes before either side has sent a byte. */

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "greetd/base/cleanup.h"
#include "greetd/metrics/result.h"
#include "greetd/worker/conn.h"
#include "support/conn_fixture.h"
#include "support/fake_send.h"
#include "support/net.h"

TestSuite(conn_silent, .timeout = 60);

static void set(struct conn_fixture *fixture, struct net_pair pair, enum setting_greet_on greet_on)
{
    conn_fixture_set(fixture, pair, conn_fixture_hello());
    fixture->config.settings.greet_on = greet_on;
    fixture->config.settings.data_timeout_usec = 5 * CONN_FIXTURE_SECOND;
}

/* Ends the client. Returns whether it was silent. */
static bool was_silent(struct conn_fixture *fixture)
{
    (void)conn_fixture_finish(fixture);
    return conn_was_silent(&fixture->conn);
}

ParameterizedTestParameters(conn_silent, is_a_client_that_closes_instead_of_sending)
{
    return conn_fixture_kinds();
}

ParameterizedTest(int *kind, conn_silent, is_a_client_that_closes_instead_of_sending, .timeout = 60)
{
    struct conn_fixture fixture;

    set(&fixture, net_pair_of(*kind), GREET_ON_DATA);
    fixture.socket.type = *kind == 0 ? SOCK_STREAM : *kind;
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_DATA);
    close(fixture.pair.client);
    net_wait(fixture.conn.fd, POLLIN);
    cr_assert_eq(conn_fixture_step(&fixture), CONN_CLOSE);
    cr_assert(was_silent(&fixture));
}

/* A client that resets before it is accepted, perhaps after sending a byte. */
struct reset_client {
    enum setting_greet_on greet_on;
    bool sends, silent;
};

ParameterizedTestParameters(conn_silent, is_a_client_that_resets_unless_it_has_sent_data)
{
    static struct reset_client clients[] = {
        {GREET_ON_DATA, false, true},
        {GREET_ON_DATA, true, false},
        {GREET_ON_CONNECT, false, true},
        {GREET_ON_CONNECT, true, false},
    };
    return cr_make_param_array(struct reset_client, clients, ELEMENTSOF(clients));
}

ParameterizedTest(struct reset_client *client, conn_silent,
                  is_a_client_that_resets_unless_it_has_sent_data, .timeout = 60)
{
    struct conn_fixture fixture;

    set(&fixture, net_tcp_pair(), client->greet_on);
    if (client->sends) {
        net_send_zeroes(fixture.pair.client, 1);
        net_wait(fixture.pair.server, POLLIN);
    }
    net_reset(fixture.pair.client);
    net_wait(fixture.pair.server, POLLHUP);
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_CLOSE);
    cr_assert_eq(fixture.conn.sent, 0);
    cr_assert_eq(was_silent(&fixture), client->silent);
}

/* While the kernel has no memory for a greeting, greetd discards input. */
Test(conn_silent, is_no_client_whose_data_were_discarded_before_its_reset)
{
    struct conn_fixture fixture;

    set(&fixture, net_tcp_pair(), GREET_ON_CONNECT);
    fake_send_error = ENOBUFS;
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_SOON);
    cr_assert_eq(write(fixture.pair.client, "", 1), 1); /* send(2) is replaced */
    net_wait(fixture.pair.server, POLLIN);
    cr_assert_eq(conn_fixture_step(&fixture), CONN_WAIT_SOON);
    fake_send_error = 0;
    net_reset(fixture.pair.client);
    net_wait(fixture.pair.server, POLLHUP);
    cr_assert_eq(conn_fixture_step(&fixture), CONN_CLOSE);
    cr_assert_eq(fixture.conn.outcome, RESULT_RESET);
    cr_assert_not(was_silent(&fixture));
}

/* A client that half-closes still reads its greeting. */
Test(conn_silent, is_no_client_that_half_closes_while_greetd_has_no_memory)
{
    struct conn_fixture fixture;

    set(&fixture, net_tcp_pair(), GREET_ON_CONNECT);
    fake_send_error = ENOBUFS;
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_SOON);
    shutdown(fixture.pair.client, SHUT_WR);
    net_wait(fixture.conn.fd, POLLIN);
    cr_assert_eq(conn_fixture_step(&fixture), CONN_WAIT_SOON);
    cr_assert(fixture.conn.input_ended);
    cr_assert_not(was_silent(&fixture));
}

Test(conn_silent, is_no_client_that_resets_during_its_greeting)
{
    struct conn_fixture fixture;

    set(&fixture, net_tcp_pair(), GREET_ON_CONNECT);
    fixture.greeting = net_long_greeting((size_t)12 * 1024 * 1024);
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_WRITE);
    net_reset(fixture.pair.client);
    cr_assert_eq(conn_fixture_step_while(&fixture, CONN_WAIT_WRITE), CONN_CLOSE);
    cr_assert_not(was_silent(&fixture));
    free(fixture.greeting.bytes);
}

Test(conn_silent, is_no_client_that_was_greeted)
{
    struct conn_fixture fixture;

    set(&fixture, net_tcp_pair(), GREET_ON_CONNECT);
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_SOON);
    net_expect_text(fixture.pair.client, CONN_FIXTURE_HELLO);
    close(fixture.pair.client);
    cr_assert_eq(conn_fixture_step_while(&fixture, CONN_WAIT_CLOSE), CONN_CLOSE);
    cr_assert_not(was_silent(&fixture));
}

Test(conn_silent, is_no_client_of_an_empty_greeting)
{
    struct conn_fixture fixture;

    set(&fixture, net_tcp_pair(), GREET_ON_CONNECT);
    fixture.greeting.size = 0;
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_SOON);
    net_reset(fixture.pair.client);
    cr_assert_eq(conn_fixture_step_while(&fixture, CONN_WAIT_CLOSE), CONN_CLOSE);
    cr_assert_not(was_silent(&fixture));
}

Test(conn_silent, is_no_client_that_times_out)
{
    struct conn_fixture fixture;

    set(&fixture, net_tcp_pair(), GREET_ON_DATA);
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_DATA);
    cr_assert_eq(conn_expire(&fixture.conn, CONN_FIXTURE_START), CONN_CLOSE);
    cr_assert_not(was_silent(&fixture));
}

Test(conn_silent, is_no_client_that_is_dropped)
{
    struct conn_fixture fixture;

    set(&fixture, net_tcp_pair(), GREET_ON_DATA);
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_DATA);
    cr_assert_not(was_silent(&fixture));
}
