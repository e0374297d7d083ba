/* SPDX-License-Identifier: MIT */

/* Clients that are to speak before they are greeted: GreetOn=data. */

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "greetd/base/cleanup.h"
#include "greetd/worker/conn.h"
#include "support/conn_fixture.h"
#include "support/net.h"

TestSuite(conn_data, .timeout = 60);

static void expect_data(struct scene *scene, struct net_pair pair, struct greeting greeting)
{
    scene_set(scene, pair, greeting);
    scene->terms.expects_data = true;
    scene->terms.data_timeout_usec = 5 * SCENE_SECOND;
}

static void read_hello(int client)
{
    char text[64];

    cr_assert_eq(net_read_to_end(client, text, sizeof(text)), (ssize_t)strlen(SCENE_HELLO));
    cr_assert_arr_eq(text, SCENE_HELLO, strlen(SCENE_HELLO));
}

static bool is_told_nothing(int client)
{
    char byte;

    return recv(client, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

ParameterizedTestParameters(conn_data, is_waited_for)
{
    static int kinds[] = {0, SOCK_STREAM, SOCK_SEQPACKET};
    return cr_make_param_array(int, kinds, ELEMENTSOF(kinds));
}

ParameterizedTest(int *kind, conn_data, is_waited_for, .timeout = 60)
{
    struct scene scene;

    expect_data(&scene, *kind ? net_local_pair(*kind) : net_tcp_pair(), scene_hello());
    scene.terms.records = *kind == SOCK_SEQPACKET;
    cr_assert_eq(scene_begin(&scene), CONN_WAIT_DATA);
    cr_assert_eq(scene_step(&scene), CONN_WAIT_DATA);
    cr_assert(is_told_nothing(scene.pair.client));
    net_chatter(scene.pair.client, 3);
    net_wait(scene.conn.fd, POLLIN);
    cr_assert_eq(scene_step(&scene), CONN_WAIT_SOON);
    read_hello(scene.pair.client);
    close(scene.pair.client);
    cr_assert_eq(scene_step_while(&scene, CONN_WAIT_CLOSE), CONN_CLOSE);
    cr_assert_eq(scene_finish(&scene).result, RESULT_DELIVERED);
}

Test(conn_data, that_is_there_already_is_greeted_at_once)
{
    struct scene scene;

    expect_data(&scene, net_tcp_pair(), scene_hello());
    net_chatter(scene.pair.client, 1);
    net_wait(scene.pair.server, POLLIN);
    cr_assert_eq(scene_begin(&scene), CONN_WAIT_SOON);
    read_hello(scene.pair.client);
    scene_finish(&scene);
}

Test(conn_data, may_be_an_empty_record)
{
    struct scene scene;

    expect_data(&scene, net_local_pair(SOCK_SEQPACKET), scene_hello());
    scene.terms.records = true;
    cr_assert_eq(scene_begin(&scene), CONN_WAIT_DATA);
    cr_assert_eq(send(scene.pair.client, "", 0, MSG_NOSIGNAL), 0);
    cr_assert_eq(scene_step(&scene), CONN_WAIT_SOON);
    scene_finish(&scene);
}

Test(conn_data, and_the_end_of_stream_are_greeted)
{
    struct scene scene;

    expect_data(&scene, net_tcp_pair(), scene_hello());
    net_chatter(scene.pair.client, 1);
    shutdown(scene.pair.client, SHUT_WR);
    net_wait(scene.pair.server, POLLRDHUP);
    scene_begin(&scene);
    read_hello(scene.pair.client);
    NET_WAIT_UNTIL(net_outstanding(scene.conn.fd) == 0);
    cr_assert_eq(scene_finish(&scene).result, RESULT_DELIVERED);
}

Test(conn_data, and_the_end_of_stream_leave_time_to_acknowledge)
{
    const size_t size = 150 * 1000;
    _cleanup_free_ char *bytes = malloc(size);
    struct scene scene;

    expect_data(&scene, net_tcp_pair_with(4096), net_long_greeting(size));
    setsockopt(scene.pair.server, SOL_SOCKET, SO_SNDBUF, &(int){400 * 1000}, sizeof(int));
    net_chatter(scene.pair.client, 1);
    shutdown(scene.pair.client, SHUT_WR);
    net_wait(scene.pair.server, POLLRDHUP);
    cr_assert_eq(scene_begin(&scene), CONN_WAIT_SOON);
    cr_assert_eq(net_read_to_end(scene.pair.client, bytes, size), (ssize_t)size);
    NET_WAIT_UNTIL(net_outstanding(scene.conn.fd) == 0);
    cr_assert_eq(scene_look(&scene), CONN_CLOSE);
    cr_assert_eq(scene_finish(&scene).result, RESULT_DELIVERED);
    free(scene.greeting.bytes);
}

/* An empty greeting has no bytes to wait for. */
Test(conn_data, and_the_end_of_stream_are_all_if_nothing_is_left_to_acknowledge)
{
    struct scene scene;

    expect_data(&scene, net_tcp_pair(), (struct greeting){.bytes = NULL, .size = 0});
    net_chatter(scene.pair.client, 1);
    shutdown(scene.pair.client, SHUT_WR);
    net_wait(scene.pair.server, POLLRDHUP);
    cr_assert_eq(scene_begin(&scene), CONN_CLOSE);
    cr_assert_eq(scene_finish(&scene).result, RESULT_DELIVERED);
}

/* The result is that of a client that has gone before everything was sent; an empty greeting is no
 * exception. */
ParameterizedTestParameters(conn_data, that_ends_before_it_begins_is_not_greeted)
{
    static size_t sizes[] = {0, sizeof(SCENE_HELLO) - 1};
    return cr_make_param_array(size_t, sizes, ELEMENTSOF(sizes));
}

ParameterizedTest(size_t *size, conn_data, that_ends_before_it_begins_is_not_greeted, .timeout = 60)
{
    struct scene scene;
    char text[1];

    expect_data(&scene, net_tcp_pair(),
                (struct greeting){.bytes = (char *)SCENE_HELLO, .size = *size});
    cr_assert_eq(scene_begin(&scene), CONN_WAIT_DATA);
    shutdown(scene.pair.client, SHUT_WR);
    net_wait(scene.conn.fd, POLLIN);
    cr_assert_eq(scene_step(&scene), CONN_CLOSE);
    struct connlog_connection story = scene_finish(&scene);
    cr_assert_eq(story.result, RESULT_PARTIAL);
    cr_assert_eq(story.bytes, 0);
    cr_assert_eq(scene.counters.greeted, 0);
    cr_assert_eq(net_read_to_end(scene.pair.client, text, 1), 0);
}

Test(conn_data, that_ends_in_a_reset_is_told_so)
{
    struct scene scene;

    expect_data(&scene, net_tcp_pair(), scene_hello());
    cr_assert_eq(scene_begin(&scene), CONN_WAIT_DATA);
    net_reset(scene.pair.client);
    net_wait(scene.conn.fd, POLLIN);
    cr_assert_eq(scene_step(&scene), CONN_CLOSE);
    cr_assert_eq(scene_finish(&scene).result, RESULT_RESET);
}

ParameterizedTestParameters(conn_data, that_never_comes_is_not_waited_for_for_ever)
{
    static size_t sizes[] = {0, sizeof(SCENE_HELLO) - 1};
    return cr_make_param_array(size_t, sizes, ELEMENTSOF(sizes));
}

ParameterizedTest(size_t *size, conn_data, that_never_comes_is_not_waited_for_for_ever,
                  .timeout = 60)
{
    struct scene scene;
    char text[1];

    expect_data(&scene, net_tcp_pair(),
                (struct greeting){.bytes = (char *)SCENE_HELLO, .size = *size});
    cr_assert_eq(scene_begin(&scene), CONN_WAIT_DATA);
    cr_assert_eq(conn_expire(&scene.conn, SCENE_START), CONN_CLOSE);
    cr_assert_eq(scene_finish(&scene).result, RESULT_TIMEOUT);
    cr_assert_eq(net_read_to_end(scene.pair.client, text, 1), 0);
}

/* WriteTimeoutSec= begins with the greeting, not with the connection. */
Test(conn_data, does_not_count_as_a_greeting_that_is_not_taken)
{
    struct scene scene;
    const uint64_t late = SCENE_START + 100 * SCENE_SECOND;

    expect_data(&scene, net_tcp_pair(), scene_hello());
    cr_assert_eq(scene_begin(&scene), CONN_WAIT_DATA);
    net_chatter(scene.pair.client, 1);
    net_wait(scene.conn.fd, POLLIN);
    cr_assert_eq(conn_step(&scene.conn, late, &scene.counters), CONN_WAIT_SOON);
    cr_assert_eq(scene.conn.progress_msec, 100 * 1000);
    scene_finish(&scene);
}

/* Neither does it as time that the greeting took. */
Test(conn_data, is_when_the_time_of_a_greeting_begins)
{
    struct scene scene;

    expect_data(&scene, net_tcp_pair(), scene_hello());
    cr_assert_eq(scene_begin(&scene), CONN_WAIT_DATA);
    net_chatter(scene.pair.client, 1);
    net_wait(scene.conn.fd, POLLIN);
    uint64_t before = deadline_now();
    conn_step(&scene.conn, SCENE_START + 100 * SCENE_SECOND, &scene.counters);
    uint64_t took = deadline_now() - before;
    cr_assert_gt(scene.counters.greeting_usec, 0);
    cr_assert_leq(scene.counters.greeting_usec, took);
    scene_finish(&scene);
}

struct slow_greeting {
    uint64_t spoke_usec, ended_usec, took_usec;
};

ParameterizedTestParameters(conn_data, is_when_the_time_of_a_slow_greeting_begins)
{
    static struct slow_greeting greetings[] = {
        {0, 2000000, 2000000},
        {3000000, 5000000, 2000000},
        {100000000, 101000000, 1000000},
    };
    return cr_make_param_array(struct slow_greeting, greetings, ELEMENTSOF(greetings));
}

ParameterizedTest(struct slow_greeting *greeting, conn_data,
                  is_when_the_time_of_a_slow_greeting_begins, .timeout = 60)
{
    struct scene scene;
    enum conn_next next;
    char bytes[64 * 1024];

    expect_data(&scene, net_tcp_pair(), net_long_greeting(8 * 1000 * 1000));
    cr_assert_eq(scene_begin(&scene), CONN_WAIT_DATA);
    net_chatter(scene.pair.client, 1);
    net_wait(scene.conn.fd, POLLIN);
    next = conn_step(&scene.conn, SCENE_START + greeting->spoke_usec, &scene.counters);
    cr_assert_eq(next, CONN_WAIT_WRITE);
    while (next == CONN_WAIT_WRITE) {
        cr_assert_gt(recv(scene.pair.client, bytes, sizeof(bytes), 0), 0);
        next = conn_step(&scene.conn, SCENE_START + greeting->ended_usec, &scene.counters);
    }
    cr_assert_eq(scene.counters.greeting_usec, greeting->took_usec);
    free(scene.greeting.bytes);
    scene_finish(&scene);
}

Test(conn_data, brings_all_of_a_huge_greeting)
{
    const size_t size = (size_t)12 * 1024 * 1024;
    _cleanup_free_ char *bytes = malloc(size);
    struct scene scene;

    expect_data(&scene, net_tcp_pair(), net_long_greeting(size));
    cr_assert_eq(scene_begin(&scene), CONN_WAIT_DATA);
    net_chatter(scene.pair.client, 1);
    net_wait(scene.conn.fd, POLLIN);
    cr_assert_eq(scene_step(&scene), CONN_WAIT_WRITE);
    for (size_t n = 0; n < size;) {
        net_wait(scene.pair.client, POLLIN);
        ssize_t r = recv(scene.pair.client, bytes + n, size - n, 0);
        cr_assert_gt(r, 0);
        n += (size_t)r;
        if (scene.conn.state == CONN_WRITING)
            scene_step(&scene);
    }
    cr_assert_arr_eq(bytes, scene.greeting.bytes, size);
    cr_assert_eq(scene.conn.state, CONN_GREETED);
    scene_finish(&scene);
    free(scene.greeting.bytes);
}
