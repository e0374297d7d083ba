/* SPDX-License-Identifier: MIT */

#include <criterion/criterion.h>
#include <sys/socket.h>

#include "support/net.h"

#include "greetd/net/socket.h"

TestSuite(socket_discard, .timeout = 60);

#define LIMIT ((uint32_t)64 * 1024)

Test(socket_discard, counts_the_discarded_bytes)
{
    struct net_pair pair = net_tcp_pair();
    uint32_t n = 5;

    cr_expect_eq(socket_discard(pair.server, false, LIMIT, &n), SOCKET_DISCARDED_ALL);
    cr_expect_eq(n, 5);
    net_send_zeroes(pair.client, 100);
    net_wait(pair.server, POLLIN);
    cr_expect_eq(socket_discard(pair.server, false, LIMIT, &n), SOCKET_DISCARDED_ALL);
    cr_expect_eq(n, 105);
}

Test(socket_discard, stops_at_the_limit)
{
    struct net_pair pair = net_local_pair(SOCK_STREAM);
    uint32_t n = 0;

    net_send_zeroes(pair.client, 60000);
    cr_expect_eq(socket_discard(pair.server, false, 20000, &n), SOCKET_DISCARDED_SOME);
    cr_expect_geq(n, 20000);
    cr_expect_lt(n, 60000);
    cr_expect_eq(socket_discard(pair.server, false, LIMIT, &n), SOCKET_DISCARDED_ALL);
    cr_expect_eq(n, 60000);
}

Test(socket_discard, reports_the_end_of_stream)
{
    struct net_pair pair = net_tcp_pair();
    uint32_t n = 0;

    net_send_zeroes(pair.client, 7);
    shutdown(pair.client, SHUT_WR);
    net_wait(pair.server, POLLRDHUP);
    cr_expect_eq(socket_discard(pair.server, false, LIMIT, &n), SOCKET_DISCARDED_LAST);
    cr_expect_eq(n, 7);
}

Test(socket_discard, reports_a_reset)
{
    struct net_pair pair = net_tcp_pair();
    uint32_t n = 0;

    net_reset(pair.client);
    net_wait(pair.server, POLLERR);
    cr_expect_eq(socket_discard(pair.server, false, LIMIT, &n), SOCKET_DISCARD_FAILED);
    cr_expect_eq(errno, ECONNRESET);
}

Test(socket_discard, counts_an_empty_record_as_a_byte)
{
    struct net_pair pair = net_local_pair(SOCK_SEQPACKET);
    uint32_t n = 0;

    cr_assert_eq(send(pair.client, "", 0, MSG_NOSIGNAL), 0);
    cr_expect_eq(socket_discard(pair.server, true, LIMIT, &n), SOCKET_DISCARDED_ALL);
    cr_expect_eq(n, 1);
    close(pair.client);
    cr_expect_eq(socket_discard(pair.server, true, LIMIT, &n), SOCKET_DISCARDED_LAST);
    cr_expect_eq(n, 1);
}

Test(socket_discard, stops_after_many_small_records)
{
    struct net_pair pair = net_local_pair(SOCK_SEQPACKET);
    uint32_t n = 0;

    for (int i = 0; i < 100; i++)
        net_send_zeroes(pair.client, 1);
    cr_expect_eq(socket_discard(pair.server, true, LIMIT, &n), SOCKET_DISCARDED_SOME);
    cr_expect_eq(n, 64);
    cr_expect_eq(socket_discard(pair.server, true, LIMIT, &n), SOCKET_DISCARDED_ALL);
    cr_expect_eq(n, 100);
}
