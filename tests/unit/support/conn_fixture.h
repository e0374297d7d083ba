/* SPDX-License-Identifier: MIT */
#pragma once

/* One client of the module conn, and everything that it needs. */

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <string.h>

#include "greetd/journal/record.h"
#include "greetd/worker/conn.h"
#include "greetd/worker/context.h"
#include "support/net.h"

#define CONN_FIXTURE_START  ((uint64_t)1000000000)
#define CONN_FIXTURE_SECOND ((uint64_t)1000000)

#define CONN_FIXTURE_HELLO "Hello from server!"

struct conn_fixture {
    struct greeting greeting;
    struct config_listener config;
    struct listener socket;
    struct worker_listener listener;
    struct metrics metrics;
    struct metrics_counters counters;
    struct worker_shared shared;
    struct worker_context context;
    struct net_pair pair;
    struct conn conn;
};

/* Prepares PAIR for GREETING, with LingerSec=2 and WriteTimeoutSec=30. The members of *FIXTURE
 * point to each other. */
static inline void conn_fixture_set(struct conn_fixture *fixture, struct net_pair pair,
                                    struct greeting greeting)
{
    *fixture = (struct conn_fixture){
        .greeting = greeting,
        .config = {.greeting = &fixture->greeting,
                   .settings = {.linger_usec = 2 * CONN_FIXTURE_SECOND,
                                .write_timeout_usec = 30 * CONN_FIXTURE_SECOND}},
        .socket = {.type = SOCK_STREAM},
        .listener = {.listener = &fixture->socket,
                     .config = &fixture->config,
                     .name = "server",
                     .configured = {.listener = &fixture->listener, .text = &fixture->greeting},
                     .greeting = &fixture->listener.configured},
        .shared = {.metrics = &fixture->metrics},
        .context = {.shared = &fixture->shared, .counters = &fixture->counters},
        .pair = pair,
    };
}

static inline struct greeting conn_fixture_hello(void)
{
    return (struct greeting){.bytes = (char *)CONN_FIXTURE_HELLO,
                             .size = strlen(CONN_FIXTURE_HELLO)};
}

/* Parameters for net_pair_of(): one of each kind of socket. */
static inline struct criterion_test_params conn_fixture_kinds(void)
{
    static int kinds[] = {0, SOCK_STREAM, SOCK_SEQPACKET};

    return cr_make_param_array(int, kinds, sizeof(kinds) / sizeof(kinds[0]));
}

static inline enum conn_next conn_fixture_begin(struct conn_fixture *fixture)
{
    struct conn_accepted accepted = {
        .listener = &fixture->listener, .fd = fixture->pair.server, .peer = fixture->pair.peer};

    accepted.admission =
        conn_admit(&fixture->listener, &accepted.peer, CONN_FIXTURE_START, &fixture->context);
    return conn_begin(&fixture->conn, &accepted, 7, CONN_FIXTURE_START, &fixture->context);
}

static inline enum conn_next conn_fixture_step(struct conn_fixture *fixture)
{
    return conn_step(&fixture->conn, CONN_FIXTURE_START, &fixture->context);
}

/* Continues after CONN_WAIT_SOON with the result of poll(2). */
static inline enum conn_next conn_fixture_poll(struct conn_fixture *fixture)
{
    struct pollfd pollfd = {.fd = fixture->conn.fd, .events = POLLIN};

    cr_assert_geq(poll(&pollfd, 1, 0), 0);
    return conn_poll(&fixture->conn, pollfd.revents, CONN_FIXTURE_START, &fixture->context);
}

/* Steps at each event of the socket until a step returns something other than WAIT. While WAIT is
 * CONN_WAIT_CLOSE, CONN_WAIT_ACKNOWLEDGEMENT may precede it. */
static inline enum conn_next conn_fixture_step_while(struct conn_fixture *fixture,
                                                     enum conn_next wait)
{
    enum conn_next next;

    do {
        net_wait(fixture->conn.fd, wait == CONN_WAIT_WRITE ? POLLIN | POLLOUT : POLLIN);
        next = conn_fixture_step(fixture);
    } while (next == wait || (wait == CONN_WAIT_CLOSE && next == CONN_WAIT_ACKNOWLEDGEMENT));
    return next;
}

/* Reads SIZE bytes, at most PIECE at a time, and steps after each piece as long as a step returns
 * CONN_WAIT_WRITE. NEXT is what the last step returned. Returns what the last one here returns. */
static inline enum conn_next conn_fixture_read(struct conn_fixture *fixture, enum conn_next next,
                                               char *bytes, size_t size, size_t piece)
{
    for (size_t n = 0; n < size;) {
        size_t left = size - n;

        net_wait(fixture->pair.client, POLLIN);
        ssize_t r = recv(fixture->pair.client, bytes + n, left < piece ? left : piece, 0);
        cr_assert_gt(r, 0);
        n += (size_t)r;
        if (next == CONN_WAIT_WRITE)
            next = conn_fixture_step(fixture);
    }
    return next;
}

/* Ends the client and returns its record. */
static inline struct connection_record conn_fixture_finish(struct conn_fixture *fixture)
{
    struct connection_record record;

    conn_close(&fixture->conn, CONN_FIXTURE_START + 5, &record);
    cr_assert_eq(fixture->conn.fd, -1);
    cr_assert_eq(fixture->conn.state, CONN_FREE);
    return record;
}

/* Greets a client that acknowledges only a part of the greeting; the kernel takes all of it. */
static inline void conn_fixture_begin_unacknowledged(struct conn_fixture *fixture)
{
    conn_fixture_set(fixture, net_tcp_pair_with(4096), net_long_greeting(150 * 1000));
    setsockopt(fixture->pair.server, SOL_SOCKET, SO_SNDBUF, &(int){400 * 1000}, sizeof(int));
    cr_assert_eq(conn_fixture_begin(fixture), CONN_WAIT_SOON);
    cr_assert_gt(net_outstanding(fixture->conn.fd), 1);
}
