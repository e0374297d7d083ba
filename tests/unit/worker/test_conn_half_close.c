/* SPDX-License-Identifier: MIT */

/* Clients that half-close their connection, and still have to acknowledge their greeting. */

#include <criterion/criterion.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "greetd/base/cleanup.h"
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
    struct scene scene;
    _cleanup_free_ char *bytes = NULL;

    scene_greet_reluctant(&scene);
    shutdown(scene.pair.client, SHUT_WR);
    net_wait(scene.conn.fd, POLLIN);
    cr_assert(has_hung_up(scene.conn.fd));
    cr_assert_eq(scene_look(&scene), CONN_WAIT_ACKNOWLEDGEMENT);
    cr_assert_eq(scene_step(&scene), CONN_WAIT_ACKNOWLEDGEMENT);

    bytes = malloc(scene.greeting.size);
    cr_assert_eq(net_read_to_end(scene.pair.client, bytes, scene.greeting.size),
                 (ssize_t)scene.greeting.size);
    NET_WAIT_UNTIL(net_outstanding(scene.conn.fd) == 0);
    cr_assert_eq(scene_step(&scene), CONN_CLOSE);
    cr_assert_eq(scene_finish(&scene).result, RESULT_DELIVERED);
    free(scene.greeting.bytes);
}

/* Both are there at the first look, and nothing will come after them. */
Test(conn_half_close, together_with_a_reset_is_a_reset)
{
    struct scene scene;

    scene_greet_reluctant(&scene);
    shutdown(scene.pair.client, SHUT_WR);
    net_wait(scene.conn.fd, POLLIN);
    net_reset(scene.pair.client);
    NET_WAIT_UNTIL(has_failed(scene.conn.fd));
    cr_assert_eq(scene_look(&scene), CONN_CLOSE);
    cr_assert_eq(scene_finish(&scene).result, RESULT_RESET);
    free(scene.greeting.bytes);
}

/* recv(2) returns 0 then, as if nothing had happened since the end of stream. */
Test(conn_half_close, followed_by_a_reset_is_a_reset)
{
    struct scene scene;

    scene_greet_reluctant(&scene);
    shutdown(scene.pair.client, SHUT_WR);
    net_wait(scene.conn.fd, POLLIN);
    cr_assert_eq(scene_step(&scene), CONN_WAIT_ACKNOWLEDGEMENT);
    cr_assert(scene.conn.input_ended);
    net_reset(scene.pair.client);
    net_wait(scene.conn.fd, 0);
    NET_WAIT_UNTIL(scene_step(&scene) == CONN_CLOSE);
    struct connlog_connection story = scene_finish(&scene);
    cr_assert_eq(story.result, RESULT_RESET);
    cr_assert_lt(story.bytes_acked, story.bytes);
    free(scene.greeting.bytes);
}
