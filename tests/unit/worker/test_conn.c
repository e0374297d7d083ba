/* SPDX-License-Identifier: MIT */
#include "greetd/worker/conn.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "greetd/base/cleanup.h"
#include "support/conn_fixture.h"
#include "support/net.h"

TestSuite(conn, .timeout = 60);

/* All kinds of sockets there are. */
static struct net_pair pair_of_kind(int kind)
{
    return kind == 0 ? net_tcp_pair() : net_local_pair(kind);
}

/* How many greetings have been timed. */
static uint64_t n_timed(const struct scene *scene)
{
    uint64_t n = 0;

    for (size_t i = 0; i < METRICS_TIMES; i++)
        n += scene->counters.greeting_times[i];
    return n;
}

ParameterizedTestParameters(conn, greets_and_is_delivered)
{
    static int kinds[] = {0, SOCK_STREAM, SOCK_SEQPACKET};
    return cr_make_param_array(int, kinds, ELEMENTSOF(kinds));
}

ParameterizedTest(int *kind, conn, greets_and_is_delivered, .timeout = 60)
{
    struct scene scene;
    char text[64];

    scene_set(&scene, pair_of_kind(*kind), scene_hello());
    cr_assert_eq(scene_begin(&scene), CONN_WAIT_SOON);
    cr_assert_eq(net_read_to_end(scene.pair.client, text, sizeof(text)),
                 (ssize_t)strlen(SCENE_HELLO));
    cr_assert_arr_eq(text, SCENE_HELLO, strlen(SCENE_HELLO));
    NET_WAIT_UNTIL(net_outstanding(scene.conn.fd) == 0);
    cr_assert_eq(scene_step(&scene), CONN_WAIT_CLOSE);
    close(scene.pair.client);
    cr_assert_eq(scene_step_while(&scene, CONN_WAIT_CLOSE), CONN_CLOSE);

    struct connlog_connection story = scene_finish(&scene);
    cr_assert_eq(story.result, RESULT_DELIVERED);
    cr_assert_str_eq(story.listener, "server");
    cr_assert_eq(story.number, 7);
    cr_assert_eq(story.duration_usec, 5);
    cr_assert_eq(story.bytes, strlen(SCENE_HELLO));
    cr_assert_eq(story.bytes_acked, strlen(SCENE_HELLO));
    cr_assert_eq(story.peer.family, scene.pair.peer.family);
    cr_assert_eq(scene.counters.greeted, 1);
    cr_assert_eq(scene.counters.bytes_sent, strlen(SCENE_HELLO));
    cr_assert_eq(n_timed(&scene), 1);
}

/* By the clock, since the time given stands still meanwhile. */
Test(conn, times_a_greeting_that_the_kernel_takes_at_once)
{
    struct scene scene;

    scene_set(&scene, net_tcp_pair(), scene_hello());
    uint64_t before = deadline_now();
    scene_begin(&scene);
    uint64_t took = deadline_now() - before;
    cr_assert_eq(n_timed(&scene), 1);
    cr_assert_gt(scene.counters.greeting_usec, 0);
    cr_assert_leq(scene.counters.greeting_usec, took);
    scene_finish(&scene);
}

Test(conn, times_a_slow_greeting_from_accept_to_its_end)
{
    struct scene scene;
    enum conn_next next;
    char bytes[4096];

    scene_set(&scene, net_tcp_pair(), net_long_greeting(8 * 1000 * 1000));
    cr_assert_eq(scene_begin(&scene), CONN_WAIT_WRITE);
    cr_assert_eq(n_timed(&scene), 0);
    do {
        cr_assert_geq(recv(scene.pair.client, bytes, sizeof(bytes), 0), 0);
        next = conn_step(&scene.conn, SCENE_START + 100, &scene.counters);
    } while (next == CONN_WAIT_WRITE);
    cr_assert_eq(next, CONN_WAIT_SOON);
    cr_assert_eq(n_timed(&scene), 1);
    cr_assert_eq(scene.counters.greeting_times[metrics_time_bucket(100)], 1);
    cr_assert_eq(scene.counters.greeting_usec, 100);
    conn_step(&scene.conn, SCENE_START + 200, &scene.counters);
    cr_assert_eq(n_timed(&scene), 1);
    free(scene.greeting.bytes);
    scene_finish(&scene);
}

Test(conn, closes_at_once_without_linger)
{
    struct scene scene;
    char text[64];

    scene_set(&scene, net_tcp_pair(), scene_hello());
    scene.terms.linger_usec = 0;
    cr_assert_eq(scene_begin(&scene), CONN_CLOSE);
    scene_finish(&scene);
    cr_assert_eq(net_read_to_end(scene.pair.client, text, sizeof(text)),
                 (ssize_t)strlen(SCENE_HELLO));
}

Test(conn, greets_who_spoke_first_even_without_linger)
{
    struct scene scene;
    char text[64];

    scene_set(&scene, net_tcp_pair(), scene_hello());
    scene.terms.linger_usec = 0;
    net_chatter(scene.pair.client, 100);
    net_wait(scene.pair.server, POLLIN);
    cr_assert_eq(scene_begin(&scene), CONN_CLOSE);
    scene_finish(&scene);
    /* It may see a reset after that, but not instead of it. */
    net_read(scene.pair.client, text, strlen(SCENE_HELLO));
    cr_assert_arr_eq(text, SCENE_HELLO, strlen(SCENE_HELLO));
}

ParameterizedTestParameters(conn, greets_who_speaks_first)
{
    static size_t sizes[] = {1, 4096, 60000};
    return cr_make_param_array(size_t, sizes, ELEMENTSOF(sizes));
}

ParameterizedTest(size_t *size, conn, greets_who_speaks_first, .timeout = 60)
{
    struct scene scene;
    char text[64];

    scene_set(&scene, net_tcp_pair(), scene_hello());
    net_chatter(scene.pair.client, *size);
    cr_assert_eq(scene_begin(&scene), CONN_WAIT_SOON);
    NET_WAIT_UNTIL(net_outstanding(scene.conn.fd) == 0 && net_outstanding(scene.pair.client) == 0);
    cr_assert_eq(scene_step(&scene), CONN_WAIT_CLOSE);
    cr_assert_eq(net_unread(scene.conn.fd), 0);
    cr_assert_eq(net_read_to_end(scene.pair.client, text, sizeof(text)),
                 (ssize_t)strlen(SCENE_HELLO));
    close(scene.pair.client);
    cr_assert_eq(scene_step_while(&scene, CONN_WAIT_CLOSE), CONN_CLOSE);
    cr_assert_eq(scene_finish(&scene).result, RESULT_DELIVERED);
}

/* More than the bound of input that would once have ended the client. */
#define FLOOD ((size_t)40 * 1024 * 1024)

/* Sends SIZE bytes, in between steps that read a bounded part of them, each of which is to return
 * NEXT. */
static void flood(struct scene *scene, size_t size, enum conn_next next)
{
    static char bytes[512 * 1024];

    while (size > 0) {
        size_t part = size < sizeof(bytes) ? size : sizeof(bytes);
        ssize_t n = send(scene->pair.client, bytes, part, MSG_NOSIGNAL | MSG_DONTWAIT);
        size -= n > 0 ? (size_t)n : 0;
        int before = net_unread(scene->conn.fd);
        cr_assert_eq(scene_step(scene), next);
        cr_assert_geq(net_unread(scene->conn.fd), before - (int)CONN_DISCARD_STEP_MAX - 16 * 1024);
    }
}

Test(conn, ends_a_flood_once_the_time_to_linger_is_over)
{
    struct scene scene;
    char text[64];

    scene_set(&scene, net_tcp_pair(), scene_hello());
    cr_assert_eq(scene_begin(&scene), CONN_WAIT_SOON);
    NET_WAIT_UNTIL(net_outstanding(scene.conn.fd) == 0);
    flood(&scene, FLOOD, CONN_WAIT_CLOSE);
    const uint64_t end = SCENE_START + CONN_LINGER_MAX_USEC;
    cr_assert_eq(conn_step(&scene.conn, end - 1, &scene.counters), CONN_WAIT_CLOSE);
    cr_assert_eq(conn_step(&scene.conn, end, &scene.counters), CONN_CLOSE);
    cr_assert_eq(scene_finish(&scene).result, RESULT_DELIVERED);
    net_read(scene.pair.client, text, strlen(SCENE_HELLO));
}

Test(conn, a_flood_may_last_for_a_longer_linger)
{
    struct scene scene;

    scene_set(&scene, net_tcp_pair(), scene_hello());
    scene.terms.linger_usec = 2 * CONN_LINGER_MAX_USEC;
    cr_assert_eq(scene_begin(&scene), CONN_WAIT_SOON);
    NET_WAIT_UNTIL(net_outstanding(scene.conn.fd) == 0);
    cr_assert_eq(scene_step(&scene), CONN_WAIT_CLOSE);
    const uint64_t end = SCENE_START + 2 * CONN_LINGER_MAX_USEC;
    cr_assert_eq(conn_step(&scene.conn, end - 1, &scene.counters), CONN_WAIT_CLOSE);
    cr_assert_eq(conn_step(&scene.conn, end, &scene.counters), CONN_CLOSE);
    scene_finish(&scene);
}

Test(conn, bears_a_flood_as_long_as_the_greeting_is_not_acknowledged)
{
    struct scene scene;

    scene_greet_reluctant(&scene);
    net_await_full(scene.conn.fd);
    cr_assert_eq(scene_step(&scene), CONN_WAIT_ACKNOWLEDGEMENT);
    scene.conn.progressed = false;
    flood(&scene, FLOOD, CONN_WAIT_ACKNOWLEDGEMENT);
    cr_assert_not(scene.conn.progressed, "to send is not to read");
    cr_assert_eq(conn_expire(&scene.conn, SCENE_START + 3600 * SCENE_SECOND), CONN_CLOSE);
    cr_assert_eq(scene_finish(&scene).result, RESULT_UNCONFIRMED);
    free(scene.greeting.bytes);
}

Test(conn, an_empty_greeting_is_the_end_of_stream_alone)
{
    struct scene scene;
    char text[1];

    scene_set(&scene, net_tcp_pair(), (struct greeting){.bytes = NULL, .size = 0});
    cr_assert_eq(scene_begin(&scene), CONN_WAIT_SOON);
    cr_assert_eq(net_read_to_end(scene.pair.client, text, sizeof(text)), 0);
    close(scene.pair.client);
    cr_assert_eq(scene_step_while(&scene, CONN_WAIT_CLOSE), CONN_CLOSE);
    cr_assert_eq(scene_finish(&scene).result, RESULT_DELIVERED);
}

/* Reads what comes, a little at a time, while the server's side goes on. Returns what follows. */
static enum conn_next read_slowly(struct scene *scene, enum conn_next next, char *bytes,
                                  size_t piece)
{
    size_t n = 0;

    while (n < scene->greeting.size) {
        size_t left = scene->greeting.size - n;
        size_t size = left < piece ? left : piece;

        net_wait(scene->pair.client, POLLIN);
        ssize_t r = recv(scene->pair.client, bytes + n, size, 0);
        cr_assert_gt(r, 0);
        n += (size_t)r;
        if (next == CONN_WAIT_WRITE)
            next = scene_step(scene);
    }
    return next;
}

ParameterizedTestParameters(conn, gives_a_huge_greeting_to_a_slow_reader)
{
    static int kinds[] = {0, SOCK_STREAM, SOCK_SEQPACKET};
    return cr_make_param_array(int, kinds, ELEMENTSOF(kinds));
}

ParameterizedTest(int *kind, conn, gives_a_huge_greeting_to_a_slow_reader, .timeout = 60)
{
    const size_t size = (size_t)12 * 1024 * 1024;
    _cleanup_free_ char *bytes = malloc(size);
    struct scene scene;
    char beyond[1];

    scene_set(&scene, pair_of_kind(*kind), net_long_greeting(size));
    scene.terms.records = *kind == SOCK_SEQPACKET;
    enum conn_next next = scene_begin(&scene);
    cr_assert_eq(next, CONN_WAIT_WRITE);
    cr_assert_eq(scene.conn.state, CONN_WRITING);
    next = read_slowly(&scene, next, bytes, 64 * 1024);
    cr_assert_eq(next, CONN_WAIT_SOON);
    cr_assert_eq(memcmp(bytes, scene.greeting.bytes, size), 0);
    cr_assert_eq(net_read_to_end(scene.pair.client, beyond, 1), 0);

    close(scene.pair.client);
    cr_assert_eq(scene_step_while(&scene, CONN_WAIT_CLOSE), CONN_CLOSE);
    cr_assert_eq(scene_finish(&scene).result, RESULT_DELIVERED);
    free(scene.greeting.bytes);
}

Test(conn, takes_the_input_of_a_client_that_writes_before_it_reads)
{
    const size_t size = (size_t)12 * 1024 * 1024;
    _cleanup_free_ char *bytes = malloc(size);
    struct scene scene;

    scene_set(&scene, net_tcp_pair(), net_long_greeting(size));
    cr_assert_eq(scene_begin(&scene), CONN_WAIT_WRITE);
    net_await_full(scene.conn.fd);
    cr_assert_eq(scene_step(&scene), CONN_WAIT_WRITE);
    scene.conn.progressed = false;
    flood(&scene, FLOOD, CONN_WAIT_WRITE);
    cr_assert_not(scene.conn.progressed, "to send is not to read");
    cr_assert_eq(read_slowly(&scene, CONN_WAIT_WRITE, bytes, size), CONN_WAIT_SOON);
    cr_assert_eq(memcmp(bytes, scene.greeting.bytes, size), 0);
    free(scene.greeting.bytes);
}

Test(conn, a_half_close_before_the_greeting_costs_nothing)
{
    struct scene scene;
    char text[64];

    scene_set(&scene, net_tcp_pair(), scene_hello());
    shutdown(scene.pair.client, SHUT_WR);
    net_wait(scene.pair.server, POLLIN);
    cr_assert_eq(scene_begin(&scene), CONN_WAIT_SOON);
    NET_WAIT_UNTIL(net_outstanding(scene.conn.fd) == 0);
    cr_assert_eq(scene_step(&scene), CONN_CLOSE);
    cr_assert_eq(scene_finish(&scene).result, RESULT_DELIVERED);
    cr_assert_eq(net_read_to_end(scene.pair.client, text, sizeof(text)),
                 (ssize_t)strlen(SCENE_HELLO));
}

Test(conn, a_half_close_amid_the_greeting_costs_nothing)
{
    const size_t size = (size_t)12 * 1024 * 1024;
    _cleanup_free_ char *bytes = malloc(size);
    struct scene scene;

    scene_set(&scene, net_tcp_pair(), net_long_greeting(size));
    cr_assert_eq(scene_begin(&scene), CONN_WAIT_WRITE);
    shutdown(scene.pair.client, SHUT_WR);
    net_wait(scene.conn.fd, POLLIN);
    cr_assert_eq(scene_step(&scene), CONN_WAIT_WRITE);
    cr_assert(scene.conn.input_ended);
    enum conn_next next = read_slowly(&scene, CONN_WAIT_WRITE, bytes, 64 * 1024);
    cr_assert_eq(memcmp(bytes, scene.greeting.bytes, size), 0);
    NET_WAIT_UNTIL(net_outstanding(scene.conn.fd) == 0);
    if (next == CONN_WAIT_SOON)
        next = scene_look(&scene);
    cr_assert_eq(next, CONN_CLOSE);
    cr_assert_eq(scene_finish(&scene).result, RESULT_DELIVERED);
    cr_assert_eq(net_read_to_end(scene.pair.client, bytes, 1), 0);
    free(scene.greeting.bytes);
}
