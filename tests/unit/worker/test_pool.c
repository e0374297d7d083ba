/* SPDX-License-Identifier: MIT */
#include "greetd/worker/pool.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>

#include "greetd/base/clock.h"
#include "support/logger_options.h"
#include "support/net.h"
#include "support/snapshot_fixture.h"

TestSuite(pool, .timeout = 120);

struct fixture {
    struct snapshot_fixture snapshot_fixture;
    struct sink sink;
    struct metrics *metrics;
    struct logger *logger;
    struct pool *pool;
};

static void prepare(struct fixture *fixture, size_t n_bindings)
{
    snapshot_fixture_open(&fixture->snapshot_fixture, n_bindings);
    sink_init(&fixture->sink, open("/dev/null", O_WRONLY | O_CLOEXEC));
}

static void await_state(struct fixture *fixture, enum worker_state state)
{
    int error;

    while (pool_state(fixture->pool, &error) < state)
        net_wait(pool_changed_fd(fixture->pool), POLLIN);
    cr_assert_eq(pool_state(fixture->pool, &error), state);
}

static void start(struct fixture *fixture, size_t n_workers, uint64_t max_connections)
{
    cr_assert_eq(metrics_new(&fixture->metrics, n_workers), 0);
    cr_assert_eq(
        logger_start(&fixture->logger, &fixture->sink, fixture->metrics, &LOGGER_EVERYTHING), 0);
    cr_assert_eq(pool_start(&fixture->pool, fixture->snapshot_fixture.snapshot, max_connections,
                            fixture->metrics, fixture->logger),
                 0);
    await_state(fixture, WORKER_ACCEPTING);
}

static void finish(struct fixture *fixture)
{
    cr_assert_eq(pool_end(fixture->pool, USEC_INFINITY), 0);
    cr_assert_eq(logger_stop(fixture->logger, USEC_INFINITY), 0);
    pool_free(fixture->pool);
    metrics_free(fixture->metrics);
    snapshot_fixture_close(&fixture->snapshot_fixture);
}

static void *come_and_go(void *p)
{
    const struct snapshot_fixture *snapshot_fixture = p;

    for (size_t i = 0; i < 100; i++)
        snapshot_fixture_read_hello(net_connect(&snapshot_fixture->addresses[i % 2]));
    return NULL;
}

Test(pool, greets_all_clients_with_all_workers)
{
    struct fixture fixture;
    pthread_t threads[6];

    prepare(&fixture, 2);
    start(&fixture, 4, 100);
    for (size_t i = 0; i < 6; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, come_and_go, &fixture.snapshot_fixture), 0);
    for (size_t i = 0; i < 6; i++)
        pthread_join(threads[i], NULL);

    pool_post(fixture.pool, WORKER_STOP);
    await_state(&fixture, WORKER_ENDED);
    struct metrics_sums sums = metrics_sum(fixture.metrics);
    cr_assert_eq(sums.accepted, 600);
    cr_assert_eq(sums.ended, 600);
    cr_assert_eq(sums.greeted, 600);
    cr_assert_eq(metrics_refused(fixture.metrics), 0);
    cr_assert_eq(sums.bytes_sent, 600 * strlen(SNAPSHOT_FIXTURE_HELLO));
    finish(&fixture);
}

Test(pool, holds_as_many_clients_as_it_may_and_lets_the_others_wait)
{
    struct fixture fixture;
    char *bytes = malloc(SNAPSHOT_FIXTURE_HUGE);
    int clients[7];

    prepare(&fixture, 1);
    snapshot_fixture_make_huge(&fixture.snapshot_fixture, 0);
    start(&fixture, 3, 5);
    for (size_t i = 0; i < 7; i++)
        clients[i] = net_connect(&fixture.snapshot_fixture.addresses[0]);
    NET_WAIT_UNTIL(metrics_sum(fixture.metrics).accepted >= 5);
    net_wait(fixture.snapshot_fixture.listeners[0].fd, POLLIN);

    /* Each that goes makes room for one more. */
    for (size_t gone = 1; gone <= 2; gone++) {
        cr_assert_eq(metrics_sum(fixture.metrics).accepted, 4 + gone);
        net_reset(clients[gone - 1]);
        NET_WAIT_UNTIL(metrics_sum(fixture.metrics).accepted >= 5 + gone);
    }
    finish(&fixture);
    free(bytes);
}

/* Epoll may wake the worker that has no room. */
Test(pool, takes_a_newcomer_as_long_as_any_worker_has_room)
{
    struct fixture fixture;
    int clients[2];

    prepare(&fixture, 1);
    fixture.snapshot_fixture.configs[0].settings.linger_usec = USEC_INFINITY;
    start(&fixture, 2, 2);
    for (size_t i = 0; i < 2; i++) {
        clients[i] = net_connect(&fixture.snapshot_fixture.addresses[0]);
        snapshot_fixture_read_hello(dup(clients[i]));
    }
    for (size_t i = 0; i < 40; i++) {
        uint64_t n = metrics_sum(fixture.metrics).ended;

        close(clients[i % 2]);
        NET_WAIT_UNTIL(metrics_sum(fixture.metrics).ended > n);
        clients[i % 2] = net_connect(&fixture.snapshot_fixture.addresses[0]);
        snapshot_fixture_read_hello(dup(clients[i % 2]));
    }
    finish(&fixture);
}

Test(pool, is_as_far_as_its_slowest_worker)
{
    struct fixture fixture;

    prepare(&fixture, 1);
    snapshot_fixture_make_huge(&fixture.snapshot_fixture, 0);
    start(&fixture, 4, 100);
    int client = net_connect(&fixture.snapshot_fixture.addresses[0]);
    net_wait(client, POLLIN);
    pool_post(fixture.pool, WORKER_STOP);
    await_state(&fixture, WORKER_DRAINING);
    net_reset(client);
    await_state(&fixture, WORKER_ENDED);
    finish(&fixture);
}

Test(pool, leaves_the_queue_when_told_to)
{
    struct fixture fixture;

    prepare(&fixture, 1);
    start(&fixture, 4, 100);
    snapshot_fixture_hand_on(&fixture.snapshot_fixture);
    pool_post(fixture.pool, WORKER_STOP);
    await_state(&fixture, WORKER_ENDED);
    snapshot_fixture_connect(&fixture.snapshot_fixture, 0);
    cr_assert_geq(accept(fixture.snapshot_fixture.listeners[0].fd, NULL, NULL), 0);
    cr_assert_eq(metrics_sum(fixture.metrics).accepted, 0);
    finish(&fixture);
}

Test(pool, can_be_freed_while_it_holds_clients)
{
    struct fixture fixture;
    char *bytes = malloc(SNAPSHOT_FIXTURE_HUGE);
    int clients[10];

    prepare(&fixture, 1);
    snapshot_fixture_make_huge(&fixture.snapshot_fixture, 0);
    start(&fixture, 2, 100);
    for (size_t i = 0; i < 10; i++) {
        clients[i] = net_connect(&fixture.snapshot_fixture.addresses[0]);
        net_wait(clients[i], POLLIN);
    }
    finish(&fixture);
    for (size_t i = 0; i < 10; i++)
        cr_assert_lt(net_read_to_end(clients[i], bytes, SNAPSHOT_FIXTURE_HUGE),
                     (ssize_t)SNAPSHOT_FIXTURE_HUGE);
    free(bytes);
}

Test(pool, tells_of_a_worker_that_failed)
{
    struct fixture fixture;
    int error = 0;

    prepare(&fixture, 1);
    start(&fixture, 2, 100);
    shutdown(fixture.snapshot_fixture.listeners[0].fd, SHUT_RDWR);
    await_state(&fixture, WORKER_FAILED);
    cr_assert_eq(pool_state(fixture.pool, &error), WORKER_FAILED);
    cr_assert_eq(error, -EINVAL);
    finish(&fixture);
}

Test(pool, is_quiet_until_a_state_changes_again)
{
    struct fixture fixture;
    struct pollfd pollfd = {.events = POLLIN};
    int error;

    prepare(&fixture, 1);
    start(&fixture, 1, 100);
    pollfd.fd = pool_changed_fd(fixture.pool);
    cr_assert_eq(pool_state(fixture.pool, &error), WORKER_ACCEPTING);
    cr_assert_eq(poll(&pollfd, 1, 0), 0);
    pool_post(fixture.pool, WORKER_QUIT);
    net_wait(pollfd.fd, POLLIN);
    await_state(&fixture, WORKER_ENDED);
    finish(&fixture);
}

/* The endpoints of the place with another greeting, in turn of two. */
static struct snapshot *renewed(struct fixture *fixture, int turn)
{
    static struct greeting greetings[2] = {{.bytes = (char *)"aaaa", .size = 4},
                                           {.bytes = (char *)"bbbb", .size = 4}};
    static struct config_listener configs[2];
    struct snapshot *snapshot;

    configs[turn] = fixture->snapshot_fixture.configs[0];
    configs[turn].greeting = &greetings[turn];
    cr_assert_eq(snapshot_new(&snapshot, NULL, fixture->snapshot_fixture.snapshot->n), 0);
    for (size_t i = 0; i < fixture->snapshot_fixture.snapshot->n; i++)
        snapshot_add(snapshot, &fixture->snapshot_fixture.listeners[i], &configs[turn]);
    return snapshot;
}

static void adopt(struct fixture *fixture, int turn)
{
    _cleanup_(snapshot_unrefp) struct snapshot *snapshot = renewed(fixture, turn);
    struct generation *prepared;

    cr_assert_eq(pool_prepare(fixture->pool, snapshot, &prepared), 0);
    NET_WAIT_UNTIL(pool_settled(fixture->pool));
    pool_adopt(fixture->pool, snapshot, prepared);
}

static void *come_for_either(void *p)
{
    const struct snapshot_fixture *snapshot_fixture = p;
    char text[8];

    for (size_t i = 0; i < 200; i++) {
        int client = net_connect(&snapshot_fixture->addresses[i % 2]);

        cr_assert_eq(net_read_to_end(client, text, sizeof(text)), 4);
        cr_assert(memcmp(text, "aaaa", 4) == 0 || memcmp(text, "bbbb", 4) == 0);
        close(client);
    }
    return NULL;
}

Test(pool, changes_what_it_serves_under_load)
{
    struct fixture fixture;
    pthread_t threads[4];

    prepare(&fixture, 2);
    start(&fixture, 3, 100);
    adopt(&fixture, 0);
    NET_WAIT_UNTIL(pool_settled(fixture.pool));
    for (size_t i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, come_for_either, &fixture.snapshot_fixture),
                     0);
    for (int turn = 0; turn < 100; turn++)
        adopt(&fixture, turn % 2);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    NET_WAIT_UNTIL(pool_settled(fixture.pool));
    cr_assert_eq(metrics_sum(fixture.metrics).greeted, 800);
    pool_post(fixture.pool, WORKER_STOP);
    await_state(&fixture, WORKER_ENDED);
    cr_assert_not(listener_in_use(&fixture.snapshot_fixture.listeners[0]));
    finish(&fixture);
}

Test(pool, can_be_freed_with_what_it_has_not_taken_up)
{
    struct fixture fixture;

    prepare(&fixture, 1);
    start(&fixture, 2, 100);
    _cleanup_(snapshot_unrefp) struct snapshot *snapshot = renewed(&fixture, 0);
    struct generation *prepared;
    cr_assert_eq(pool_prepare(fixture.pool, snapshot, &prepared), 0);
    pool_discard(prepared);
    pool_post(fixture.pool, WORKER_QUIT);
    await_state(&fixture, WORKER_ENDED);
    adopt(&fixture, 0);
    finish(&fixture);
}

Test(pool, goes_round_when_it_is_prodded)
{
    struct fixture fixture;
    unsigned stuck;

    prepare(&fixture, 1);
    start(&fixture, 3, 100);
    for (int i = 0; i < 3; i++) {
        pool_ping(fixture.pool);
        NET_WAIT_UNTIL(pool_is_responsive(fixture.pool, &stuck));
    }
    finish(&fixture);
}

Test(pool, knows_since_when_it_has_been_idle)
{
    struct fixture fixture;

    prepare(&fixture, 1);
    start(&fixture, 2, 100);
    cr_assert_leq(pool_idle_since(fixture.pool), clock_now());
    int client = net_connect(&fixture.snapshot_fixture.addresses[0]);
    NET_WAIT_UNTIL(pool_idle_since(fixture.pool) == USEC_INFINITY);
    uint64_t before = clock_now();
    snapshot_fixture_read_hello(client);
    NET_WAIT_UNTIL(pool_idle_since(fixture.pool) != USEC_INFINITY);
    cr_assert_geq(pool_idle_since(fixture.pool), before);
    finish(&fixture);
}
