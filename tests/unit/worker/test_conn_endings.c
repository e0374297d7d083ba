/* SPDX-License-Identifier: MIT */

/* Tests of clients that do more than read and close, and of the result in their record. */

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "greetd/base/cleanup.h"
#include "greetd/journal/record.h"
#include "greetd/metrics/result.h"
#include "greetd/worker/conn.h"
#include "support/conn_fixture.h"
#include "support/fake_send.h"
#include "support/net.h"

#define HUGE_SIZE ((size_t)12 * 1024 * 1024)

TestSuite(conn_endings, .timeout = 60);

/* Returns the number of bytes that the peer of a TCP socket has acknowledged, from TCP_INFO. */
static uint64_t acked_by_kernel(int fd)
{
    struct tcp_info info;
    socklen_t length = sizeof(info);

    cr_assert_eq(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length), 0);
    return info.tcpi_bytes_acked;
}

/* Begins a greeting that the kernel does not take at once. */
static void begin_huge(struct conn_fixture *fixture, struct net_pair pair)
{
    conn_fixture_set(fixture, pair, net_long_greeting(HUGE_SIZE));
    cr_assert_eq(conn_fixture_begin(fixture), CONN_WAIT_WRITE);
    cr_assert_gt(fixture->conn.sent, 0);
    cr_assert_lt(fixture->conn.sent, HUGE_SIZE);
    /* clients starts the write timeout at progress, and resets this. */
    cr_assert(fixture->conn.progressed);
    fixture->conn.progressed = false;
}

Test(conn_endings, reports_a_reset_before_the_greeting)
{
    struct conn_fixture fixture;

    conn_fixture_set(&fixture, net_tcp_pair(), conn_fixture_hello());
    net_reset(fixture.pair.client);
    net_wait(fixture.pair.server, POLLIN);
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_CLOSE);
    struct connection_record record = conn_fixture_finish(&fixture);
    cr_assert_eq(record.result, RESULT_RESET);
    cr_assert_eq(record.bytes_acked, 0);
    cr_assert_eq(fixture.counters.greeted, 0);
}

Test(conn_endings, reports_a_reset_during_the_greeting)
{
    struct conn_fixture fixture;

    begin_huge(&fixture, net_tcp_pair());
    net_reset(fixture.pair.client);
    cr_assert_eq(conn_fixture_step_while(&fixture, CONN_WAIT_WRITE), CONN_CLOSE);
    struct connection_record record = conn_fixture_finish(&fixture);
    cr_assert_eq(record.result, RESULT_RESET);
    cr_assert_lt(record.bytes_acked, HUGE_SIZE);
    cr_assert_eq(fixture.counters.greeted, 0);
    free(fixture.greeting.bytes);
}

Test(conn_endings, reports_delivery_if_a_reset_follows_the_acknowledgement)
{
    struct conn_fixture fixture;

    conn_fixture_set(&fixture, net_tcp_pair(), conn_fixture_hello());
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_SOON);
    NET_WAIT_UNTIL(net_outstanding(fixture.conn.fd) == 0);
    net_reset(fixture.pair.client);
    cr_assert_eq(conn_fixture_step_while(&fixture, CONN_WAIT_CLOSE), CONN_CLOSE);
    cr_assert_eq(conn_fixture_finish(&fixture).result, RESULT_DELIVERED);
}

Test(conn_endings, reports_a_reset_before_the_acknowledgement)
{
    struct conn_fixture fixture;

    conn_fixture_begin_unacknowledged(&fixture);
    net_reset(fixture.pair.client);
    cr_assert_eq(conn_fixture_step_while(&fixture, CONN_WAIT_ACKNOWLEDGEMENT), CONN_CLOSE);
    struct connection_record record = conn_fixture_finish(&fixture);
    cr_assert_eq(record.result, RESULT_RESET);
    cr_assert_eq(record.bytes, fixture.greeting.size);
    cr_assert_lt(record.bytes_acked, record.bytes);
    free(fixture.greeting.bytes);
}

ParameterizedTestParameters(conn_endings,
                            reports_no_bytes_acknowledged_by_a_local_client_that_did_not_read)
{
    static int types[] = {SOCK_STREAM, SOCK_SEQPACKET};
    return cr_make_param_array(int, types, ELEMENTSOF(types));
}

ParameterizedTest(int *type, conn_endings,
                  reports_no_bytes_acknowledged_by_a_local_client_that_did_not_read, .timeout = 60)
{
    struct conn_fixture fixture;

    conn_fixture_set(&fixture, net_local_pair(*type), conn_fixture_hello());
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_SOON);
    close(fixture.pair.client);
    cr_assert_eq(conn_fixture_step_while(&fixture, CONN_WAIT_CLOSE), CONN_CLOSE);
    struct connection_record record = conn_fixture_finish(&fixture);
    cr_assert_eq(record.result, RESULT_RESET);
    cr_assert_eq(record.bytes_acked, 0);
}

Test(conn_endings, reports_a_reset_if_a_local_client_closes_during_the_greeting)
{
    struct conn_fixture fixture;

    begin_huge(&fixture, net_local_pair(SOCK_STREAM));
    close(fixture.pair.client);
    cr_assert_eq(conn_fixture_step_while(&fixture, CONN_WAIT_WRITE), CONN_CLOSE);
    struct connection_record record = conn_fixture_finish(&fixture);
    cr_assert_eq(record.result, RESULT_RESET);
    cr_assert_eq(record.bytes_acked, 0);
    free(fixture.greeting.bytes);
}

Test(conn_endings, does_not_take_an_empty_record_for_the_end_of_stream)
{
    struct conn_fixture fixture;

    conn_fixture_set(&fixture, net_local_pair(SOCK_SEQPACKET), conn_fixture_hello());
    fixture.socket.type = SOCK_SEQPACKET;
    cr_assert_eq(send(fixture.pair.client, "", 0, 0), 0);
    cr_assert_eq(send(fixture.pair.client, "x", 1, 0), 1);
    enum conn_next next = conn_fixture_begin(&fixture);
    if (next != CONN_CLOSE)
        next = conn_fixture_step(&fixture);
    if (next == CONN_CLOSE)
        conn_fixture_finish(&fixture);
    net_expect_text(fixture.pair.client, CONN_FIXTURE_HELLO);
}

/* net.core.wmem_default may be smaller than the usual size of a record. */
Test(conn_endings, sends_records_that_fit_into_the_send_buffer)
{
    struct conn_fixture fixture;
    const size_t size = 200 * 1000;
    _cleanup_free_ char *bytes = malloc(size);

    conn_fixture_set(&fixture, net_local_pair(SOCK_SEQPACKET), net_long_greeting(size));
    fixture.socket.type = SOCK_SEQPACKET;
    setsockopt(fixture.pair.server, SOL_SOCKET, SO_SNDBUF, &(int){8192}, sizeof(int));
    enum conn_next next = conn_fixture_begin(&fixture);
    cr_assert_eq(conn_fixture_read(&fixture, next, bytes, size, size), CONN_WAIT_SOON);
    cr_assert_eq(memcmp(bytes, fixture.greeting.bytes, size), 0);
    conn_fixture_finish(&fixture);
    free(fixture.greeting.bytes);
}

Test(conn_endings, times_out_a_client_that_reads_nothing)
{
    struct conn_fixture fixture;

    begin_huge(&fixture, net_tcp_pair_with(4096));
    net_await_full(fixture.conn.fd);
    fixture.conn.unacknowledged = (uint32_t)net_outstanding(fixture.conn.fd);

    cr_assert_eq(conn_expire(&fixture.conn, CONN_FIXTURE_START), CONN_CLOSE);
    struct connection_record record = conn_fixture_finish(&fixture);
    cr_assert_eq(record.result, RESULT_TIMEOUT);
    cr_assert_lt(record.bytes_acked, record.bytes);
    free(fixture.greeting.bytes);
}

/* Reads until the server has an acknowledgement. */
static void read_until_acknowledged(struct conn_fixture *fixture)
{
    static char bytes[64 * 1024];
    int before = net_outstanding(fixture->conn.fd);

    for (size_t n = 0; net_outstanding(fixture->conn.fd) >= before; n++) {
        cr_assert_lt(n, 10000);
        net_wait(fixture->pair.client, POLLIN);
        cr_assert_gt(recv(fixture->pair.client, bytes, sizeof(bytes), 0), 0);
    }
}

Test(conn_endings, waits_for_a_client_that_reads_slowly)
{
    struct conn_fixture fixture;

    begin_huge(&fixture, net_tcp_pair_with(4096));
    for (int i = 0; i < 3; i++) {
        read_until_acknowledged(&fixture);
        cr_assert_eq(conn_expire(&fixture.conn, CONN_FIXTURE_START), CONN_WAIT_WRITE);
        cr_assert(fixture.conn.progressed, "the timeout must start again");
        fixture.conn.progressed = false;
    }
    net_reset(fixture.pair.client);
    conn_fixture_finish(&fixture);
    free(fixture.greeting.bytes);
}

Test(conn_endings, reports_unconfirmed_if_acknowledgements_stop)
{
    struct conn_fixture fixture;

    conn_fixture_begin_unacknowledged(&fixture);
    cr_assert_eq(conn_fixture_step(&fixture), CONN_WAIT_ACKNOWLEDGEMENT);
    fixture.conn.progressed = false;
    cr_assert_eq(conn_expire(&fixture.conn, CONN_FIXTURE_START), CONN_CLOSE);
    struct connection_record record = conn_fixture_finish(&fixture);
    cr_assert_eq(record.result, RESULT_UNCONFIRMED);
    cr_assert_eq(record.bytes, fixture.greeting.size);
    cr_assert_lt(record.bytes_acked, record.bytes);
    free(fixture.greeting.bytes);
}

/* LingerSec= begins with the last acknowledgement, however late. */
Test(conn_endings, lingers_after_a_late_acknowledgement)
{
    struct conn_fixture fixture;
    uint64_t now = CONN_FIXTURE_START;

    conn_fixture_begin_unacknowledged(&fixture);
    cr_assert_eq(conn_fixture_step(&fixture), CONN_WAIT_ACKNOWLEDGEMENT);
    for (int i = 0; i < 3; i++) {
        fixture.conn.progressed = false;
        read_until_acknowledged(&fixture);
        cr_assert_eq(conn_expire(&fixture.conn, now += 30 * CONN_FIXTURE_SECOND),
                     CONN_WAIT_ACKNOWLEDGEMENT);
        cr_assert(fixture.conn.progressed, "the timeout must start again");
    }
    while (net_outstanding(fixture.conn.fd) > 0)
        (void)recv(fixture.pair.client, (char[4096]){0}, 4096, MSG_DONTWAIT);
    cr_assert_eq(conn_expire(&fixture.conn, now), CONN_WAIT_CLOSE);
    uint64_t end = now + fixture.config.settings.linger_usec;
    cr_assert_not(conn_is_overdue(&fixture.conn, end - 1));
    cr_assert(conn_is_overdue(&fixture.conn, end));
    cr_assert_eq(conn_expire(&fixture.conn, end), CONN_CLOSE);
    cr_assert_eq(conn_fixture_finish(&fixture).result, RESULT_DELIVERED);
    free(fixture.greeting.bytes);
}

/* The milliseconds since the accept no longer fit into the member that has them. */
Test(conn_endings, lingers_with_a_client_of_fifty_days)
{
    struct conn_fixture fixture;
    const uint64_t late = CONN_FIXTURE_START + 50 * 86400 * CONN_FIXTURE_SECOND;

    conn_fixture_set(&fixture, net_tcp_pair(), conn_fixture_hello());
    fixture.config.settings.greet_on = GREET_ON_DATA;
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_DATA);
    net_send_zeroes(fixture.pair.client, 1);
    net_wait(fixture.conn.fd, POLLIN);
    cr_assert_eq(conn_step(&fixture.conn, late, &fixture.context), CONN_WAIT_SOON);
    NET_WAIT_UNTIL(net_outstanding(fixture.conn.fd) == 0);
    cr_assert_eq(conn_step(&fixture.conn, late, &fixture.context), CONN_WAIT_CLOSE);
    cr_assert_eq(conn_step(&fixture.conn, late + CONN_LINGER_MAX_USEC, &fixture.context),
                 CONN_CLOSE);
    conn_fixture_finish(&fixture);
}

Test(conn_endings, reports_delivery_at_the_end_of_the_linger)
{
    struct conn_fixture fixture;

    conn_fixture_set(&fixture, net_tcp_pair(), conn_fixture_hello());
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_SOON);
    NET_WAIT_UNTIL(net_outstanding(fixture.conn.fd) == 0);
    cr_assert_eq(conn_fixture_step(&fixture), CONN_WAIT_CLOSE);
    cr_assert_eq(conn_expire(&fixture.conn, CONN_FIXTURE_START), CONN_CLOSE);
    cr_assert_eq(conn_fixture_finish(&fixture).result, RESULT_DELIVERED);
}

/* Ends a client that acknowledges only a part. Returns its record, and the number of bytes that the
 * kernel counts as acknowledged. Returns false if that number changed meanwhile. */
static bool end_unacknowledged(struct connection_record *ret_record, uint64_t *ret_acked)
{
    struct conn_fixture fixture;

    conn_fixture_begin_unacknowledged(&fixture);
    int fd = dup(fixture.conn.fd);
    uint64_t before = acked_by_kernel(fd);
    *ret_record = conn_fixture_finish(&fixture);
    *ret_acked = acked_by_kernel(fd);
    close(fd);
    close(fixture.pair.client);
    free(fixture.greeting.bytes);
    return before == *ret_acked;
}

Test(conn_endings, reports_the_bytes_that_the_kernel_counts_as_acknowledged)
{
    struct connection_record record;
    uint64_t acked;

    NET_WAIT_UNTIL(end_unacknowledged(&record, &acked));
    cr_assert_gt(acked, 0);
    cr_assert_eq(record.bytes_acked, acked);
}

ParameterizedTestParameters(conn_endings, a_dropped_client_with_unread_input_has_its_greeting)
{
    return conn_fixture_kinds();
}

/* Eviction and the end of StopTimeoutSec= drop a client like this. */
ParameterizedTest(int *kind, conn_endings, a_dropped_client_with_unread_input_has_its_greeting,
                  .timeout = 60)
{
    struct conn_fixture fixture;

    conn_fixture_set(&fixture, net_pair_of(*kind), conn_fixture_hello());
    net_send_zeroes(fixture.pair.client, 100);
    net_wait(fixture.pair.server, POLLIN);
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_SOON);
    conn_fixture_finish(&fixture);
    net_expect_text(fixture.pair.client, CONN_FIXTURE_HELLO);
}

Test(conn_endings, reports_partial_if_dropped_during_the_greeting)
{
    struct conn_fixture fixture;

    begin_huge(&fixture, net_tcp_pair());
    struct connection_record record = conn_fixture_finish(&fixture);
    cr_assert_eq(record.result, RESULT_PARTIAL);
    cr_assert_gt(record.bytes, 0);
    cr_assert_leq(record.bytes_acked, record.bytes);
    free(fixture.greeting.bytes);
}

struct failure {
    int error, type;
    enum result result;
};

ParameterizedTestParameters(conn_endings, ends_when_send_fails)
{
    static struct failure failures[] = {
        {EPIPE, SOCK_STREAM, RESULT_RESET},       {ECONNRESET, SOCK_STREAM, RESULT_RESET},
        {EMSGSIZE, SOCK_STREAM, RESULT_ERROR},    {EACCES, SOCK_STREAM, RESULT_ERROR},
        {EMSGSIZE, SOCK_SEQPACKET, RESULT_ERROR}, {EBADF, SOCK_STREAM, RESULT_ERROR},
    };
    return cr_make_param_array(struct failure, failures, ELEMENTSOF(failures));
}

ParameterizedTest(struct failure *failure, conn_endings, ends_when_send_fails, .timeout = 60)
{
    struct conn_fixture fixture;

    conn_fixture_set(&fixture, net_tcp_pair(), conn_fixture_hello());
    fixture.socket.type = failure->type;
    fake_send_error = failure->error;
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_CLOSE);
    cr_assert_eq(conn_fixture_finish(&fixture).result, failure->result);
}

Test(conn_endings, sends_the_greeting_when_the_kernel_has_memory_again)
{
    struct conn_fixture fixture;

    conn_fixture_set(&fixture, net_tcp_pair(), conn_fixture_hello());
    fake_send_error = ENOBUFS;
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_WAIT_SOON);
    cr_assert_eq(fixture.conn.state, CONN_WRITING);
    fake_send_error = 0;
    cr_assert_eq(conn_fixture_step(&fixture), CONN_WAIT_SOON);
    cr_assert_eq(fixture.conn.state, CONN_GREETED);
    net_expect_text(fixture.pair.client, CONN_FIXTURE_HELLO);
}

/* Between the last write and the close; recv(2) is not called. */
Test(conn_endings, does_not_count_unread_bytes_of_a_local_client_without_linger)
{
    struct conn_fixture fixture;

    conn_fixture_set(&fixture, net_pair_of(SOCK_STREAM), conn_fixture_hello());
    fixture.config.settings.linger_usec = 0;
    cr_assert_eq(conn_fixture_begin(&fixture), CONN_CLOSE);
    close(fixture.pair.client);
    struct connection_record record = conn_fixture_finish(&fixture);
    cr_assert_eq(record.result, RESULT_UNCONFIRMED);
    cr_assert_eq(record.bytes_acked, 0);
}
