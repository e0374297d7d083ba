/* SPDX-License-Identifier: MIT */
#include "greetd/worker/writing.h"

#include <criterion/criterion.h>
#include <string.h>

#include "support/conn_fixture.h"
#include "support/net.h"

TestSuite(writing, .timeout = 60);

static struct conn_fixture fixture;

/* Greets the clients of a listener at ADDRESS with variables that have these NEEDS. */
static void open_fixture(struct net_pair pair, const char *address, unsigned needs)
{
    conn_fixture_set(&fixture, pair, (struct greeting){.needs = needs});
    fixture.socket.address = net_address(address);
    fixture.listener.wildcard = address_is_wildcard(&fixture.socket.address);
}

static struct variable_client values_with(int fd)
{
    return writing_values(fixture.listener.greeting, fd, &fixture.pair.peer, 7, &fixture.context);
}

Test(writing, has_what_costs_no_system_call)
{
    open_fixture((struct net_pair){.peer = {.family = AF_INET}}, "127.0.0.1:80", 0);
    fixture.shared.pid = 123;

    struct variable_client client = values_with(-1);
    cr_expect_eq(client.peer, &fixture.pair.peer);
    cr_expect_eq(client.number, 7);
    cr_expect_eq(client.pid, 123);
    cr_expect_str_eq(client.listener, "server");
    cr_expect_eq(client.clock, &fixture.context.clock);
    cr_expect_eq(client.metrics, &fixture.metrics);
}

/* -1 is no socket that a system call could read. */
Test(writing, has_the_bound_address_without_a_system_call)
{
    open_fixture((struct net_pair){.client = -1}, "127.0.0.1:80", VARIABLE_NEEDS_LOCAL);
    cr_expect_eq(values_with(-1).local, &fixture.socket.address);
}

Test(writing, has_the_address_of_the_socket_if_the_bound_one_is_a_wildcard)
{
    struct net_pair pair = net_tcp_pair();
    struct sockaddr_in connected;
    socklen_t length = sizeof(connected);

    cr_assert_eq(getpeername(pair.client, (struct sockaddr *)&connected, &length), 0);
    open_fixture(pair, "0.0.0.0:80", VARIABLE_NEEDS_LOCAL);
    const struct address *local = values_with(pair.server).local;
    cr_expect_eq(local->in.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
    cr_expect_eq(local->in.sin_port, connected.sin_port);
}

Test(writing, reads_a_round_trip_time_only_for_a_variable)
{
    struct net_pair pair = net_tcp_pair();

    open_fixture(pair, "127.0.0.1:80", 0);
    cr_expect_lt(values_with(pair.server).rtt_usec, 0);
    open_fixture(pair, "127.0.0.1:80", VARIABLE_NEEDS_RTT);
    cr_expect_gt(values_with(pair.server).rtt_usec, 0);
}

Test(writing, has_the_bound_address_if_that_of_the_socket_is_unknown)
{
    open_fixture((struct net_pair){.client = -1}, "0.0.0.0:80", VARIABLE_NEEDS_LOCAL);
    cr_expect_eq(values_with(-1).local, &fixture.socket.address);
}
