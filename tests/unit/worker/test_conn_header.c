/* SPDX-License-Identifier: MIT */

/* Tests of ProxyProtocol=yes: one client that begins with a PROXY header. */

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <string.h>
#include <sys/socket.h>

#include "greetd/base/cleanup.h"
#include "greetd/metrics/result.h"
#include "greetd/worker/conn.h"
#include "support/conn_fixture.h"
#include "support/net.h"
#include "support/networks.h"

TestSuite(conn_header, .timeout = 60);

#define HEADER       "PROXY TCP4 192.0.2.1 203.0.113.9 4000 12345\r\n"
#define LOCAL_HEADER "PROXY UNKNOWN\r\n"

/* Prepares PAIR with ProxyProtocol=yes. */
static void set_with_header(struct conn_fixture *fixture, struct net_pair pair)
{
    conn_fixture_set(fixture, pair, conn_fixture_hello());
    fixture->config.settings.proxy_protocol = true;
    fixture->config.settings.data_timeout_usec = 5 * CONN_FIXTURE_SECOND;
}

static void send_text(struct conn_fixture *fixture, const char *text)
{
    cr_assert_eq(send(fixture->pair.client, text, strlen(text), MSG_NOSIGNAL),
                 (ssize_t)strlen(text));
    net_wait(fixture->conn.fd > 0 ? fixture->conn.fd : fixture->pair.server, POLLIN);
}

static void expect_source(const struct conn_fixture *fixture)
{
    char address[ADDRESS_TEXT_MAX];

    cr_expect(fixture->conn.proxied);
    cr_expect_str_eq(peer_format(&fixture->conn.peer, address), "192.0.2.1:4000");
}

static void expect_hello(struct conn_fixture *fixture)
{
    net_expect_text(fixture->pair.client, CONN_FIXTURE_HELLO);
    close(fixture->pair.client);
    cr_assert_eq(conn_fixture_step_while(fixture, CONN_WAIT_CLOSE), CONN_CLOSE);
    struct connection_record record = conn_fixture_finish(fixture);
    cr_expect_eq(record.result, RESULT_DELIVERED);
    cr_expect_eq(record.refusal, REFUSAL_NONE);
    cr_expect_eq(record.number, 7);
}

ParameterizedTestParameters(conn_header, names_the_client)
{
    return conn_fixture_kinds();
}

ParameterizedTest(int *kind, conn_header, names_the_client, .timeout = 60)
{
    struct conn_fixture fixture;

    set_with_header(&fixture, net_pair_of(*kind));
    fixture.socket.type = *kind;
    send_text(&fixture, HEADER);
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_SOON);
    expect_source(&fixture);
    expect_hello(&fixture);
}

Test(conn_header, may_arrive_byte_by_byte)
{
    struct conn_fixture fixture;

    set_with_header(&fixture, net_tcp_pair());
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_DATA);
    for (const char *p = HEADER; *p != '\n'; p++) {
        send_text(&fixture, (const char[]){*p, '\0'});
        cr_assert_eq(conn_fixture_step(&fixture), CONN_WAIT_DATA, "%s", p);
        cr_assert_eq(conn_fixture_step(&fixture), CONN_WAIT_DATA, "%s", p);
        /* Nor does it prolong the wait. */
        cr_assert_not(fixture.conn.progressed);
    }
    send_text(&fixture, "\n");
    cr_assert_eq(conn_fixture_step(&fixture), CONN_WAIT_SOON);
    expect_source(&fixture);
    expect_hello(&fixture);
}

Test(conn_header, without_a_source_leaves_the_own_address)
{
    struct conn_fixture fixture;

    set_with_header(&fixture, net_tcp_pair());
    send_text(&fixture, LOCAL_HEADER);
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_SOON);
    cr_expect_not(fixture.conn.proxied);
    cr_expect_eq(fixture.conn.peer.port, fixture.pair.peer.port);
    expect_hello(&fixture);
}

Test(conn_header, does_not_count_as_data)
{
    struct conn_fixture fixture;

    set_with_header(&fixture, net_tcp_pair());
    fixture.config.settings.greet_on = GREET_ON_DATA;
    send_text(&fixture, HEADER);
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_DATA);
    expect_source(&fixture);
    /* The data have DataTimeoutSec= of their own. */
    cr_assert(fixture.conn.progressed);
    fixture.conn.progressed = false;
    cr_assert_eq(conn_fixture_step(&fixture), CONN_WAIT_DATA);
    send_text(&fixture, "x");
    cr_assert_eq(conn_fixture_step(&fixture), CONN_WAIT_SOON);
    expect_hello(&fixture);
}

Test(conn_header, may_arrive_together_with_data)
{
    struct conn_fixture fixture;

    set_with_header(&fixture, net_tcp_pair());
    fixture.config.settings.greet_on = GREET_ON_DATA;
    send_text(&fixture, HEADER "GET / HTTP/1.0\r\n\r\n");
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_SOON);
    expect_source(&fixture);
    expect_hello(&fixture);
}

struct mistake_row {
    char text[64];
    bool ended; /* the end of stream follows */
    enum proxy_error error;
};

ParameterizedTestParameters(conn_header, with_a_mistake_is_refused)
{
    static struct mistake_row rows[] = {
        {"GET / HTTP/1.0\r\n\r\n", false, PROXY_NO_HEADER},
        {"X", false, PROXY_NO_HEADER},
        {"PROXY TCP4", true, PROXY_CUT},
    };
    return cr_make_param_array(struct mistake_row, rows, ELEMENTSOF(rows));
}

ParameterizedTest(struct mistake_row *row, conn_header, with_a_mistake_is_refused)
{
    struct conn_fixture fixture;

    set_with_header(&fixture, net_tcp_pair());
    send_text(&fixture, row->text);
    enum conn_next next = conn_fixture_begin(&fixture);
    if (row->ended) {
        cr_assert_eq(next, CONN_WAIT_DATA);
        shutdown(fixture.pair.client, SHUT_WR);
        net_wait(fixture.conn.fd, POLLIN);
        next = conn_fixture_step(&fixture);
    }
    cr_assert_eq(next, CONN_CLOSE);
    struct connection_record record = conn_fixture_finish(&fixture);
    cr_expect_eq(record.result, RESULT_REFUSED);
    cr_expect_eq(record.refusal, REFUSAL_PROXY);
    cr_expect_eq(record.proxy_error, row->error);
    cr_expect_eq(record.number, 7);
    cr_expect_eq(record.bytes, 0);
}

Test(conn_header, that_is_late_is_refused)
{
    struct conn_fixture fixture;

    set_with_header(&fixture, net_tcp_pair());
    send_text(&fixture, "PROXY ");
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_DATA);
    cr_assert_eq(conn_expire(&fixture.conn, CONN_FIXTURE_START + 5 * CONN_FIXTURE_SECOND),
                 CONN_CLOSE);
    struct connection_record record = conn_fixture_finish(&fixture);
    cr_expect_eq(record.result, RESULT_REFUSED);
    cr_expect_eq(record.proxy_error, PROXY_LATE);
}

/* A health check that only connects. */
Test(conn_header, is_not_missed_by_a_client_that_only_closes)
{
    struct conn_fixture fixture;

    set_with_header(&fixture, net_tcp_pair());
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_DATA);
    close(fixture.pair.client);
    net_wait(fixture.conn.fd, POLLIN);
    cr_assert_eq(conn_fixture_step(&fixture), CONN_CLOSE);
    struct connection_record record = conn_fixture_finish(&fixture);
    cr_expect_eq(record.result, RESULT_PARTIAL);
    cr_expect_eq(record.refusal, REFUSAL_NONE);
    cr_expect(conn_was_silent(&fixture.conn));
}

Test(conn_header, of_which_a_part_came_before_a_reset_is_input)
{
    struct conn_fixture fixture;

    set_with_header(&fixture, net_tcp_pair());
    send_text(&fixture, "PROXY ");
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_DATA);
    net_reset(fixture.pair.client);
    net_wait(fixture.conn.fd, POLLIN);
    cr_assert_eq(conn_fixture_step(&fixture), CONN_CLOSE);
    cr_expect_eq(conn_fixture_finish(&fixture).result, RESULT_RESET);
    cr_expect_not(conn_was_silent(&fixture.conn));
}

/* The socket, and not the source, says whether bytes are counted as TCP counts them. */
Test(conn_header, does_not_change_the_family_of_the_socket)
{
    struct conn_fixture fixture;

    set_with_header(&fixture, net_local_pair(SOCK_STREAM));
    send_text(&fixture, HEADER);
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_SOON);
    cr_expect(fixture.conn.local);
    expect_source(&fixture);
    expect_hello(&fixture);
}

Test(conn_header, is_only_taken_from_trusted_sources)
{
    struct conn_fixture fixture;
    struct networks *trusted = networks_of("192.0.2.0/24", NULL);

    set_with_header(&fixture, net_tcp_pair());
    fixture.config.trusted = trusted;
    send_text(&fixture, HEADER);
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_CLOSE);
    struct connection_record record = conn_fixture_finish(&fixture);
    cr_expect_eq(record.refusal, REFUSAL_PROXY);
    cr_expect_eq(record.proxy_error, PROXY_UNTRUSTED);
    cr_expect_not(fixture.conn.proxied);
    networks_unref(trusted);
}
