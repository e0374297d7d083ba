/* SPDX-License-Identifier: MIT */
#pragma once

/* One client of conn with everything it needs, for the tests of how it lives and how it ends. */

#include <criterion/criterion.h>
#include <string.h>

#include "greetd/worker/conn.h"
#include "support/net.h"

#define SCENE_START  ((uint64_t)1000000000)
#define SCENE_SECOND ((uint64_t)1000000)

#define SCENE_HELLO "Hello from server!"

/* One client with everything it needs. */
struct scene {
    struct greeting greeting;
    struct conn_terms terms;
    struct metrics_counters counters;
    struct net_pair pair;
    struct conn conn;
};

static inline void scene_set(struct scene *scene, struct net_pair pair, struct greeting greeting)
{
    *scene = (struct scene){
        .greeting = greeting,
        .terms = {.greeting = &scene->greeting,
                  .listener = "server",
                  .linger_usec = 2 * SCENE_SECOND,
                  .write_timeout_usec = 30 * SCENE_SECOND,
                  .records = false},
        .pair = pair,
    };
}

static inline struct greeting scene_hello(void)
{
    return (struct greeting){.bytes = (char *)SCENE_HELLO, .size = strlen(SCENE_HELLO)};
}

static inline enum conn_next scene_begin(struct scene *scene)
{
    return conn_begin(&scene->conn, scene->pair.server, scene->pair.peer, &scene->terms, 7,
                      SCENE_START, &scene->counters);
}

static inline enum conn_next scene_step(struct scene *scene)
{
    return conn_step(&scene->conn, SCENE_START, &scene->counters);
}

/* Goes on after CONN_WAIT_SOON with what poll(2) tells. */
static inline enum conn_next scene_look(struct scene *scene)
{
    struct pollfd pollfd = {.fd = scene->conn.fd, .events = POLLIN};

    cr_assert_geq(poll(&pollfd, 1, 0), 0);
    return conn_look(&scene->conn, pollfd.revents, SCENE_START, &scene->counters);
}

/* Steps as the socket's events ask for it until the step returns something else than WAIT, or,
 * while waiting for the close, than to wait for the acknowledgement. */
static inline enum conn_next scene_step_while(struct scene *scene, enum conn_next wait)
{
    enum conn_next next;

    do {
        net_wait(scene->conn.fd, wait == CONN_WAIT_WRITE ? POLLIN | POLLOUT : POLLIN);
        next = scene_step(scene);
    } while (next == wait || (wait == CONN_WAIT_CLOSE && next == CONN_WAIT_ACKNOWLEDGEMENT));
    return next;
}

static inline struct connlog_connection scene_finish(struct scene *scene)
{
    struct connlog_connection story;

    conn_close(&scene->conn, SCENE_START + 5, &story);
    cr_assert_eq(scene->conn.fd, -1);
    cr_assert_eq(scene->conn.state, CONN_FREE);
    return story;
}

/* A greeting that the kernel takes whole, for a client that acknowledges only a part of it. */
static inline void scene_greet_reluctant(struct scene *scene)
{
    scene_set(scene, net_tcp_pair_with(4096), net_long_greeting(150 * 1000));
    setsockopt(scene->pair.server, SOL_SOCKET, SO_SNDBUF, &(int){400 * 1000}, sizeof(int));
    cr_assert_eq(scene_begin(scene), CONN_WAIT_SOON);
    cr_assert_gt(net_outstanding(scene->conn.fd), 1);
}
