/* SPDX-License-Identifier: MIT */
#include "greetd/base/clock.h"
#include "greetd/control/idle_exit.h"

#include <sys/eventfd.h>

#include "support/fake_epoll_wait.h"
#include "support/pool_fixture.h"

TestSuite(idle_exit, .timeout = 60);

static struct pool *_Atomic watched;
static atomic_bool seen_idle;
static atomic_uint n_looks;

/* Takes the place of the C library's: when a worker tells the main thread something, it is followed
 * by a look at what that would see. */
int eventfd_write(int fd, eventfd_t value)
{
    if (watched && !is_main_thread) {
        if (pool_settled(watched) && pool_idle_since(watched) != USEC_INFINITY)
            atomic_store(&seen_idle, true);
        atomic_fetch_add(&n_looks, 1);
    }
    return write(fd, &value, sizeof(value)) == sizeof(value) ? 0 : -1;
}

struct fixture {
    struct pool_fixture workers;
    struct sockets sockets;
    struct idle_exit idle_exit;
    unsigned n_left;
    uint64_t left_usec;
};

static void leave(void *p)
{
    struct fixture *fixture = p;

    fixture->n_left++;
    fixture->left_usec = clock_now();
}

static void open_scene(struct fixture *fixture)
{
    *fixture = (struct fixture){.n_left = 0};
    pool_fixture_open(&fixture->workers, 2);
    fixture->sockets.snapshot = fixture->workers.net.snapshot;
    cr_assert_eq(idle_exit_start(&fixture->idle_exit, fixture->workers.event, fixture->workers.pool,
                                 &fixture->sockets, leave, fixture),
                 0);
}

static void close_scene(struct fixture *fixture)
{
    idle_exit_deinit(&fixture->idle_exit);
    pool_fixture_close(&fixture->workers);
}

/* Runs the timer, and hands on what the workers have to say, until it is time to leave or UNTIL. */
static void run(struct fixture *fixture, uint64_t until_usec)
{
    int error;

    while (fixture->n_left == 0 && clock_now() < until_usec) {
        cr_assert_geq(sd_event_run(fixture->workers.event, 10000), 0);
        (void)pool_state(fixture->workers.pool, &error);
        idle_exit_pool_changed(&fixture->idle_exit);
    }
}

static uint64_t in_a_while(void)
{
    return clock_now() + (uint64_t)NET_BOUND_MSEC * 1000;
}

Test(idle_exit, leaves_once_nobody_has_come_for_that_long)
{
    struct fixture fixture;

    open_scene(&fixture);
    pool_fixture_greet(&fixture.workers);
    uint64_t since_usec = pool_idle_since(fixture.workers.pool);
    idle_exit_set_timeout(&fixture.idle_exit, 500000);
    run(&fixture, in_a_while());
    cr_assert_eq(fixture.n_left, 1);
    cr_assert_geq(fixture.left_usec - since_usec, 500000);

    /* Accepting has stopped: whoever comes now is for the next process. */
    snapshot_fixture_connect(&fixture.workers.net, 0);
    cr_assert_geq(accept(fixture.workers.net.listeners[0].fd, NULL, NULL), 0);
    idle_exit_pool_changed(&fixture.idle_exit);
    cr_assert_eq(fixture.n_left, 1, "once is enough");
    close_scene(&fixture);
}

Test(idle_exit, never_leaves_sooner_than_systemd_likes_to_start_it)
{
    struct fixture fixture;

    open_scene(&fixture);
    idle_exit_set_timeout(&fixture.idle_exit, 0);
    run(&fixture, in_a_while());
    cr_assert_eq(fixture.n_left, 1);
    cr_assert_geq(fixture.left_usec - fixture.idle_exit.started_usec, 200000);
    close_scene(&fixture);
}

Test(idle_exit, stays_as_long_as_there_is_a_client)
{
    struct fixture fixture;

    open_scene(&fixture);
    int client = net_connect(&fixture.workers.net.addresses[0]);
    NET_WAIT_UNTIL(pool_idle_since(fixture.workers.pool) == USEC_INFINITY);
    idle_exit_set_timeout(&fixture.idle_exit, 100000);
    run(&fixture, clock_now() + 600000);
    cr_assert_eq(fixture.n_left, 0);
    snapshot_fixture_read_hello(client);
    run(&fixture, in_a_while());
    cr_assert_eq(fixture.n_left, 1);
    close_scene(&fixture);
}

/* A worker that has let go of the socket has told of the client whom it accepted just before. */
Test(idle_exit, knows_of_a_client_who_came_together_with_the_order_to_hold)
{
    struct pool_fixture fixture;

    is_main_thread = true;
    pool_fixture_open(&fixture, 1);
    atomic_store(&fake_epoll_wait.hangs, true);
    pool_ping(fixture.pool);
    NET_WAIT_UNTIL(atomic_load(&fake_epoll_wait.n_hanging) == 1);
    int client = snapshot_fixture_connect(&fixture.net, 0);
    watched = fixture.pool;
    pool_post(fixture.pool, WORKER_HOLD);
    atomic_store(&fake_epoll_wait.hangs, false);
    NET_WAIT_UNTIL(atomic_load(&n_looks) > 0);
    watched = NULL;
    cr_assert_not(atomic_load(&seen_idle));
    cr_assert(pool_settled(fixture.pool));
    cr_assert_eq(pool_idle_since(fixture.pool), USEC_INFINITY);
    snapshot_fixture_read_hello(client);
    pool_fixture_close(&fixture);
}

Test(idle_exit, stays_for_ever_if_told_to)
{
    struct fixture fixture;
    int enabled;

    open_scene(&fixture);
    idle_exit_set_timeout(&fixture.idle_exit, 100000);
    idle_exit_set_timeout(&fixture.idle_exit, USEC_INFINITY);
    cr_assert_eq(sd_event_source_get_enabled(fixture.idle_exit.timer, &enabled), 0);
    cr_assert_eq(enabled, SD_EVENT_OFF);
    close_scene(&fixture);
}

/* For want of descriptors, say: to look again at once would be to spin. */
Test(idle_exit, stays_for_a_while_with_a_client_that_nobody_can_accept)
{
    struct fixture fixture;
    uint64_t due;
    int error;

    open_scene(&fixture);
    idle_exit_set_timeout(&fixture.idle_exit, 0);
    while (!fixture.idle_exit.holding)
        cr_assert_gt(sd_event_run(fixture.workers.event, (uint64_t)NET_BOUND_MSEC * 1000), 0);
    NET_WAIT_UNTIL(pool_settled(fixture.workers.pool));
    snapshot_fixture_connect(&fixture.workers.net, 0);
    is_main_thread = true;
    atomic_store(&fake_epoll_wait.hangs, true);
    (void)pool_state(fixture.workers.pool, &error);
    uint64_t before = clock_now();
    idle_exit_pool_changed(&fixture.idle_exit);
    cr_assert_eq(sd_event_source_get_time(fixture.idle_exit.timer, &due), 0);
    cr_assert_geq(due, before + 200000);
    atomic_store(&fake_epoll_wait.hangs, false);
    close_scene(&fixture);
}

/* The workers have stopped accepting, and somebody has come since. */
Test(idle_exit, goes_on_for_one_who_comes_at_the_last_moment)
{
    struct fixture fixture;
    int error;

    open_scene(&fixture);
    idle_exit_set_timeout(&fixture.idle_exit, 0);
    while (!fixture.idle_exit.holding)
        cr_assert_gt(sd_event_run(fixture.workers.event, (uint64_t)NET_BOUND_MSEC * 1000), 0);
    NET_WAIT_UNTIL(pool_settled(fixture.workers.pool));
    int client = snapshot_fixture_connect(&fixture.workers.net, 0);
    (void)pool_state(fixture.workers.pool, &error);
    idle_exit_pool_changed(&fixture.idle_exit);
    cr_assert_eq(fixture.n_left, 0);
    snapshot_fixture_read_hello(client);
    run(&fixture, in_a_while());
    cr_assert_eq(fixture.n_left, 1);
    close_scene(&fixture);
}
