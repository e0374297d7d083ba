/* SPDX-License-Identifier: MIT */
#include "greetd/control/idle_exit.h"

#include <sys/eventfd.h>

#include "support/fake_epoll_wait.h"
#include "support/pool_fixture.h"

TestSuite(idle, .timeout = 60);

static struct pool *_Atomic watched;
static atomic_bool seen_idle;
static atomic_uint n_looks;

/* Takes the place of the C library's: when a worker tells the main thread something, it is followed
 * by a look at what that would see. */
int eventfd_write(int fd, eventfd_t value)
{
    if (watched && !is_main_thread) {
        if (pool_settled(watched) && pool_idle_since(watched) != DEADLINE_NEVER)
            atomic_store(&seen_idle, true);
        atomic_fetch_add(&n_looks, 1);
    }
    return write(fd, &value, sizeof(value)) == sizeof(value) ? 0 : -1;
}

struct scene {
    struct serving serving;
    struct sockets sockets;
    struct idle idle;
    unsigned n_left;
    uint64_t left_usec;
};

static void leave(void *p)
{
    struct scene *scene = p;

    scene->n_left++;
    scene->left_usec = deadline_now();
}

static void open_scene(struct scene *scene)
{
    *scene = (struct scene){.n_left = 0};
    serving_open(&scene->serving, 2);
    scene->sockets.endpoints = scene->serving.place.endpoints;
    cr_assert_eq(idle_start(&scene->idle, scene->serving.event, scene->serving.pool,
                            &scene->sockets, leave, scene),
                 0);
}

static void close_scene(struct scene *scene)
{
    idle_deinit(&scene->idle);
    serving_close(&scene->serving);
}

/* Runs the timer, and hands on what the workers have to say, until it is time to leave or UNTIL. */
static void run(struct scene *scene, uint64_t until_usec)
{
    int error;

    while (scene->n_left == 0 && deadline_now() < until_usec) {
        cr_assert_geq(sd_event_run(scene->serving.event, 10000), 0);
        (void)pool_state(scene->serving.pool, &error);
        idle_pool_changed(&scene->idle);
    }
}

static uint64_t in_a_while(void)
{
    return deadline_now() + (uint64_t)NET_BOUND_MSEC * 1000;
}

Test(idle, leaves_once_nobody_has_come_for_that_long)
{
    struct scene scene;

    open_scene(&scene);
    serving_greet(&scene.serving);
    uint64_t since_usec = pool_idle_since(scene.serving.pool);
    idle_set_timeout(&scene.idle, 500000);
    run(&scene, in_a_while());
    cr_assert_eq(scene.n_left, 1);
    cr_assert_geq(scene.left_usec - since_usec, 500000);

    /* Accepting has stopped: whoever comes now is for the next process. */
    place_connect(&scene.serving.place, 0);
    cr_assert_geq(accept(scene.serving.place.listeners[0].fd, NULL, NULL), 0);
    idle_pool_changed(&scene.idle);
    cr_assert_eq(scene.n_left, 1, "once is enough");
    close_scene(&scene);
}

Test(idle, never_leaves_sooner_than_systemd_likes_to_start_it)
{
    struct scene scene;

    open_scene(&scene);
    idle_set_timeout(&scene.idle, 0);
    run(&scene, in_a_while());
    cr_assert_eq(scene.n_left, 1);
    cr_assert_geq(scene.left_usec - scene.idle.started_usec, 200000);
    close_scene(&scene);
}

Test(idle, stays_as_long_as_there_is_a_client)
{
    struct scene scene;

    open_scene(&scene);
    int client = net_connect(&scene.serving.place.addresses[0]);
    NET_WAIT_UNTIL(pool_idle_since(scene.serving.pool) == DEADLINE_NEVER);
    idle_set_timeout(&scene.idle, 100000);
    run(&scene, deadline_now() + 600000);
    cr_assert_eq(scene.n_left, 0);
    place_read_hello(client);
    run(&scene, in_a_while());
    cr_assert_eq(scene.n_left, 1);
    close_scene(&scene);
}

/* A worker that has let go of the socket has told of the client whom it accepted just before. */
Test(idle, knows_of_a_client_who_came_together_with_the_order_to_hold)
{
    struct serving scene;

    is_main_thread = true;
    serving_open(&scene, 1);
    atomic_store(&stuck, true);
    pool_prod(scene.pool);
    NET_WAIT_UNTIL(atomic_load(&n_stuck) == 1);
    int client = place_connect(&scene.place, 0);
    watched = scene.pool;
    pool_post(scene.pool, WORKER_HOLD);
    atomic_store(&stuck, false);
    NET_WAIT_UNTIL(atomic_load(&n_looks) > 0);
    watched = NULL;
    cr_assert_not(atomic_load(&seen_idle));
    cr_assert(pool_settled(scene.pool));
    cr_assert_eq(pool_idle_since(scene.pool), DEADLINE_NEVER);
    place_read_hello(client);
    serving_close(&scene);
}

Test(idle, stays_for_ever_if_told_to)
{
    struct scene scene;
    int enabled;

    open_scene(&scene);
    idle_set_timeout(&scene.idle, 100000);
    idle_set_timeout(&scene.idle, DEADLINE_NEVER);
    cr_assert_eq(sd_event_source_get_enabled(scene.idle.timer, &enabled), 0);
    cr_assert_eq(enabled, SD_EVENT_OFF);
    close_scene(&scene);
}

/* For want of descriptors, say: to look again at once would be to spin. */
Test(idle, stays_for_a_while_with_a_client_that_nobody_can_accept)
{
    struct scene scene;
    uint64_t due;
    int error;

    open_scene(&scene);
    idle_set_timeout(&scene.idle, 0);
    while (!scene.idle.holding)
        cr_assert_gt(sd_event_run(scene.serving.event, (uint64_t)NET_BOUND_MSEC * 1000), 0);
    NET_WAIT_UNTIL(pool_settled(scene.serving.pool));
    place_connect(&scene.serving.place, 0);
    is_main_thread = true;
    atomic_store(&stuck, true);
    (void)pool_state(scene.serving.pool, &error);
    uint64_t before = deadline_now();
    idle_pool_changed(&scene.idle);
    cr_assert_eq(sd_event_source_get_time(scene.idle.timer, &due), 0);
    cr_assert_geq(due, before + 200000);
    atomic_store(&stuck, false);
    close_scene(&scene);
}

/* The workers have stopped accepting, and somebody has come since. */
Test(idle, goes_on_for_one_who_comes_at_the_last_moment)
{
    struct scene scene;
    int error;

    open_scene(&scene);
    idle_set_timeout(&scene.idle, 0);
    while (!scene.idle.holding)
        cr_assert_gt(sd_event_run(scene.serving.event, (uint64_t)NET_BOUND_MSEC * 1000), 0);
    NET_WAIT_UNTIL(pool_settled(scene.serving.pool));
    int client = place_connect(&scene.serving.place, 0);
    (void)pool_state(scene.serving.pool, &error);
    idle_pool_changed(&scene.idle);
    cr_assert_eq(scene.n_left, 0);
    place_read_hello(client);
    run(&scene, in_a_while());
    cr_assert_eq(scene.n_left, 1);
    close_scene(&scene);
}
