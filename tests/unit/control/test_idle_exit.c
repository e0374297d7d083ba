/* SPDX-License-Identifier: MIT */
#include "greetd/base/clock.h"
#include "greetd/control/idle_exit.h"

#include <sys/eventfd.h>

#include "support/fake.h"
#include "support/fake_epoll_wait.h"
#include "support/pool_fixture.h"

TestSuite(idle_exit, .timeout = 60);

static struct pool *_Atomic checked_pool;
static atomic_bool seen_idle;
static atomic_uint n_checks;

/* Set by a test in its own thread, which does not check. */
static _Thread_local bool is_main_thread;

/* An eventfd_write(3) in place of that of the C library. When a worker wakes the main thread, it
 * also checks what the main thread would see. */
FAKE int eventfd_write(int fd, eventfd_t value)
{
    if (checked_pool && !is_main_thread) {
        if (pool_settled(checked_pool) && pool_idle_since(checked_pool) != USEC_INFINITY)
            atomic_store(&seen_idle, true);
        atomic_fetch_add(&n_checks, 1);
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

static void on_leave(void *p)
{
    struct fixture *fixture = p;

    fixture->n_left++;
    fixture->left_usec = clock_now();
}

static void open_fixture(struct fixture *fixture)
{
    *fixture = (struct fixture){.n_left = 0};
    pool_fixture_open(&fixture->workers, 2);
    fixture->sockets.snapshot = fixture->workers.net.snapshot;
    cr_assert_eq(idle_exit_start(&fixture->idle_exit, fixture->workers.event, fixture->workers.pool,
                                 &fixture->sockets, on_leave, fixture),
                 0);
}

static void close_fixture(struct fixture *fixture)
{
    idle_exit_deinit(&fixture->idle_exit);
    pool_fixture_close(&fixture->workers);
}

/* Runs the event loop and reports changes of the pool until greetd should exit, at most until
 * UNTIL_USEC. */
static void run(struct fixture *fixture, uint64_t until_usec)
{
    int error;

    while (fixture->n_left == 0 && clock_now() < until_usec) {
        cr_assert_geq(sd_event_run(fixture->workers.event, 10000), 0);
        (void)pool_state(fixture->workers.pool, &error);
        idle_exit_pool_changed(&fixture->idle_exit);
    }
}

/* The bound of every wait, as a time. */
static uint64_t latest(void)
{
    return clock_now() + (uint64_t)NET_BOUND_MSEC * 1000;
}

Test(idle_exit, exits_after_the_timeout_without_a_client)
{
    struct fixture fixture;

    open_fixture(&fixture);
    pool_fixture_greet(&fixture.workers);
    uint64_t since_usec = pool_idle_since(fixture.workers.pool);
    idle_exit_set_timeout(&fixture.idle_exit, 500000);
    run(&fixture, latest());
    cr_assert_eq(fixture.n_left, 1);
    cr_assert_geq(fixture.left_usec - since_usec, 500000);

    /* Accepting has stopped: a later client stays in the queue for the next process. */
    snapshot_fixture_connect(&fixture.workers.net, 0);
    cr_assert_geq(accept(fixture.workers.net.listeners[0].fd, NULL, NULL), 0);
    idle_exit_pool_changed(&fixture.idle_exit);
    cr_assert_eq(fixture.n_left, 1, "once is enough");
    close_fixture(&fixture);
}

Test(idle_exit, never_exits_before_the_minimum_run_time)
{
    struct fixture fixture;

    open_fixture(&fixture);
    idle_exit_set_timeout(&fixture.idle_exit, 0);
    run(&fixture, latest());
    cr_assert_eq(fixture.n_left, 1);
    cr_assert_geq(fixture.left_usec - fixture.idle_exit.started_usec, 200000);
    close_fixture(&fixture);
}

Test(idle_exit, does_not_exit_while_there_is_a_client)
{
    struct fixture fixture;

    open_fixture(&fixture);
    int client = net_connect(&fixture.workers.net.addresses[0]);
    NET_WAIT_UNTIL(pool_idle_since(fixture.workers.pool) == USEC_INFINITY);
    idle_exit_set_timeout(&fixture.idle_exit, 100000);
    run(&fixture, clock_now() + 600000);
    cr_assert_eq(fixture.n_left, 0);
    snapshot_fixture_read_hello(client);
    run(&fixture, latest());
    cr_assert_eq(fixture.n_left, 1);
    close_fixture(&fixture);
}

/* A worker reports a client that it has just accepted before it reports that it holds. */
Test(idle_exit, sees_a_client_that_was_accepted_just_before_the_hold)
{
    struct pool_fixture fixture;

    is_main_thread = true;
    pool_fixture_open(&fixture, 1);
    atomic_store(&fake_epoll_wait.hangs, true);
    pool_ping(fixture.pool);
    NET_WAIT_UNTIL(atomic_load(&fake_epoll_wait.n_hanging) == 1);
    int client = snapshot_fixture_connect(&fixture.net, 0);
    checked_pool = fixture.pool;
    pool_post(fixture.pool, WORKER_HOLD);
    atomic_store(&fake_epoll_wait.hangs, false);
    NET_WAIT_UNTIL(atomic_load(&n_checks) > 0);
    checked_pool = NULL;
    cr_assert_not(atomic_load(&seen_idle));
    cr_assert(pool_settled(fixture.pool));
    cr_assert_eq(pool_idle_since(fixture.pool), USEC_INFINITY);
    snapshot_fixture_read_hello(client);
    pool_fixture_close(&fixture);
}

Test(idle_exit, does_not_exit_with_an_infinite_timeout)
{
    struct fixture fixture;
    int enabled;

    open_fixture(&fixture);
    idle_exit_set_timeout(&fixture.idle_exit, 100000);
    idle_exit_set_timeout(&fixture.idle_exit, USEC_INFINITY);
    cr_assert_eq(sd_event_source_get_enabled(fixture.idle_exit.timer, &enabled), 0);
    cr_assert_eq(enabled, SD_EVENT_OFF);
    close_fixture(&fixture);
}

/* Runs the event loop until all workers have stopped accepting. */
static void run_until_held(struct fixture *fixture)
{
    idle_exit_set_timeout(&fixture->idle_exit, 0);
    while (!fixture->idle_exit.holding)
        cr_assert_gt(sd_event_run(fixture->workers.event, (uint64_t)NET_BOUND_MSEC * 1000), 0);
    NET_WAIT_UNTIL(pool_settled(fixture->workers.pool));
}

/* The worker may be out of descriptors; to check again at once would spin. */
Test(idle_exit, waits_before_it_looks_again_while_a_client_is_pending)
{
    struct fixture fixture;
    uint64_t due;
    int error;

    open_fixture(&fixture);
    run_until_held(&fixture);
    snapshot_fixture_connect(&fixture.workers.net, 0);
    is_main_thread = true;
    atomic_store(&fake_epoll_wait.hangs, true);
    (void)pool_state(fixture.workers.pool, &error);
    uint64_t before = clock_now();
    idle_exit_pool_changed(&fixture.idle_exit);
    cr_assert_eq(sd_event_source_get_time(fixture.idle_exit.timer, &due), 0);
    cr_assert_geq(due, before + 200000);
    atomic_store(&fake_epoll_wait.hangs, false);
    close_fixture(&fixture);
}

/* The client connects after the workers have stopped accepting. */
Test(idle_exit, resumes_for_a_client_that_connects_during_the_hold)
{
    struct fixture fixture;
    int error;

    open_fixture(&fixture);
    run_until_held(&fixture);
    int client = snapshot_fixture_connect(&fixture.workers.net, 0);
    (void)pool_state(fixture.workers.pool, &error);
    idle_exit_pool_changed(&fixture.idle_exit);
    cr_assert_eq(fixture.n_left, 0);
    snapshot_fixture_read_hello(client);
    run(&fixture, latest());
    cr_assert_eq(fixture.n_left, 1);
    close_fixture(&fixture);
}

/* The timer expires again before the workers have answered. */
Test(idle_exit, holds_the_workers_once_if_a_reload_sets_its_time_meanwhile)
{
    struct fixture fixture;

    open_fixture(&fixture);
    idle_exit_set_timeout(&fixture.idle_exit, 0);
    while (!fixture.idle_exit.holding)
        cr_assert_geq(sd_event_run(fixture.workers.event, 10000), 0);
    idle_exit_set_timeout(&fixture.idle_exit, 0);
    while (sd_event_source_get_enabled(fixture.idle_exit.timer, NULL) > 0)
        cr_assert_geq(sd_event_run(fixture.workers.event, 10000), 0);
    cr_assert(fixture.idle_exit.holding);
    run(&fixture, latest());
    cr_assert_eq(fixture.n_left, 1);
    close_fixture(&fixture);
}
