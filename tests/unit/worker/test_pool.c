/* SPDX-License-Identifier: MIT */
#include "greetd/worker/pool.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <sys/socket.h>

#include "greetd/base/clock.h"
#include "support/descriptors.h"
#include "support/net.h"
#include "support/pool_fixture.h"
#include "support/seccomp_deny.h"

TestSuite(pool, .timeout = 120);

/* Connects a hundred clients, one after the other. */
static void *connect_clients(void *p)
{
    const struct snapshot_fixture *net = p;

    for (size_t i = 0; i < 100; i++)
        snapshot_fixture_read_hello(net_connect(&net->addresses[i % 2]));
    return NULL;
}

Test(pool, greets_all_clients_with_all_workers)
{
    struct pool_fixture fixture;
    pthread_t threads[6];

    pool_fixture_prepare(&fixture, 2);
    pool_fixture_start(&fixture, 4, 100);
    for (size_t i = 0; i < 6; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, connect_clients, &fixture.net), 0);
    for (size_t i = 0; i < 6; i++)
        pthread_join(threads[i], NULL);

    pool_post(fixture.pool, WORKER_STOP);
    pool_fixture_await(&fixture, WORKER_ENDED);
    struct metrics_sums sums = metrics_sum(fixture.metrics);
    cr_assert_eq(sums.accepted, 600);
    cr_assert_eq(sums.ended, 600);
    cr_assert_eq(sums.greeted, 600);
    cr_assert_eq(metrics_refused(fixture.metrics), 0);
    cr_assert_eq(sums.bytes_sent, 600 * strlen(SNAPSHOT_FIXTURE_HELLO));
    pool_fixture_close(&fixture);
}

Test(pool, reports_each_shortage_of_descriptors_and_keeps_none)
{
    struct pool_fixture fixture;
    int r = -EMFILE;

    pool_fixture_prepare(&fixture, 1);
    pool_fixture_start_logger(&fixture, 2);
    size_t before = descriptors_count();
    for (rlim_t n = 0; r < 0; n++) {
        cr_assert_eq(r, -EMFILE);
        cr_assert_eq(descriptors_count(), before);
        struct rlimit limit = descriptors_deny_from(n);
        r = pool_start(&fixture.pool, fixture.net.snapshot, 100, fixture.metrics, fixture.logger);
        descriptors_allow(limit);
    }
    pool_fixture_await(&fixture, WORKER_ACCEPTING);
    pool_fixture_close(&fixture);
}

Test(pool, replaces_the_greeting_of_new_clients)
{
    struct pool_fixture fixture;
    char *bytes = malloc(SNAPSHOT_FIXTURE_HUGE);
    _cleanup_(greeting_unrefp) struct greeting *other = greeting_new();

    cr_assert(other && (other->bytes = strdup("other")));
    other->size = strlen(other->bytes);
    pool_fixture_prepare(&fixture, 2);
    snapshot_fixture_make_huge(&fixture.net, 0);
    pool_fixture_start(&fixture, 2, 100);
    int slow = net_connect(&fixture.net.addresses[0]);
    NET_WAIT_UNTIL(metrics_sum(fixture.metrics).accepted == 1);

    cr_assert_eq(
        pool_replace_greeting(fixture.pool, fixture.net.snapshot, &fixture.net.configs[0], other),
        0);
    NET_WAIT_UNTIL(pool_settled(fixture.pool));
    int client = net_connect(&fixture.net.addresses[0]);
    net_expect_text(client, "other");
    close(client);
    snapshot_fixture_read_hello(net_connect(&fixture.net.addresses[1]));
    cr_assert_eq(net_read_to_end(slow, bytes, SNAPSHOT_FIXTURE_HUGE),
                 (ssize_t)SNAPSHOT_FIXTURE_HUGE);
    close(slow);
    free(bytes);
    pool_fixture_close(&fixture);
}

Test(pool, leaves_clients_beyond_the_limit_in_the_queue)
{
    struct pool_fixture fixture;
    char *bytes = malloc(SNAPSHOT_FIXTURE_HUGE);
    int clients[7];

    pool_fixture_prepare(&fixture, 1);
    snapshot_fixture_make_huge(&fixture.net, 0);
    pool_fixture_start(&fixture, 3, 5);
    for (size_t i = 0; i < 7; i++)
        clients[i] = net_connect(&fixture.net.addresses[0]);
    NET_WAIT_UNTIL(metrics_sum(fixture.metrics).accepted >= 5);
    net_wait(fixture.net.listeners[0].fd, POLLIN);

    /* Each client that closes makes room for the next. */
    for (size_t n = 1; n <= 2; n++) {
        cr_assert_eq(metrics_sum(fixture.metrics).accepted, 4 + n);
        net_reset(clients[n - 1]);
        NET_WAIT_UNTIL(metrics_sum(fixture.metrics).accepted >= 5 + n);
    }
    pool_fixture_close(&fixture);
    free(bytes);
}

/* Epoll may wake a worker without room. */
Test(pool, accepts_a_client_while_any_worker_has_room)
{
    struct pool_fixture fixture;
    int clients[2];

    pool_fixture_prepare(&fixture, 1);
    fixture.net.configs[0].settings.linger_usec = USEC_INFINITY;
    pool_fixture_start(&fixture, 2, 2);
    for (size_t i = 0; i < 2; i++) {
        clients[i] = net_connect(&fixture.net.addresses[0]);
        snapshot_fixture_read_hello(dup(clients[i]));
    }
    for (size_t i = 0; i < 40; i++) {
        uint64_t n = metrics_sum(fixture.metrics).ended;

        close(clients[i % 2]);
        NET_WAIT_UNTIL(metrics_sum(fixture.metrics).ended > n);
        clients[i % 2] = net_connect(&fixture.net.addresses[0]);
        snapshot_fixture_read_hello(dup(clients[i % 2]));
    }
    pool_fixture_close(&fixture);
}

Test(pool, has_the_state_of_its_slowest_worker)
{
    struct pool_fixture fixture;

    pool_fixture_prepare(&fixture, 1);
    snapshot_fixture_make_huge(&fixture.net, 0);
    pool_fixture_start(&fixture, 4, 100);
    int client = net_connect(&fixture.net.addresses[0]);
    net_wait(client, POLLIN);
    pool_post(fixture.pool, WORKER_STOP);
    pool_fixture_await(&fixture, WORKER_DRAINING);
    net_reset(client);
    pool_fixture_await(&fixture, WORKER_ENDED);
    pool_fixture_close(&fixture);
}

Test(pool, leaves_the_queue_to_the_next_process)
{
    struct pool_fixture fixture;

    pool_fixture_prepare(&fixture, 1);
    pool_fixture_start(&fixture, 4, 100);
    snapshot_fixture_hand_on(&fixture.net);
    pool_post(fixture.pool, WORKER_STOP);
    pool_fixture_await(&fixture, WORKER_ENDED);
    snapshot_fixture_connect(&fixture.net, 0);
    cr_assert_geq(accept(fixture.net.listeners[0].fd, NULL, NULL), 0);
    cr_assert_eq(metrics_sum(fixture.metrics).accepted, 0);
    pool_fixture_close(&fixture);
}

Test(pool, can_be_freed_while_it_holds_clients)
{
    struct pool_fixture fixture;
    char *bytes = malloc(SNAPSHOT_FIXTURE_HUGE);
    int clients[10];

    pool_fixture_prepare(&fixture, 1);
    snapshot_fixture_make_huge(&fixture.net, 0);
    pool_fixture_start(&fixture, 2, 100);
    for (size_t i = 0; i < 10; i++) {
        clients[i] = net_connect(&fixture.net.addresses[0]);
        net_wait(clients[i], POLLIN);
    }
    pool_fixture_close(&fixture);
    for (size_t i = 0; i < 10; i++)
        cr_assert_lt(net_read_to_end(clients[i], bytes, SNAPSHOT_FIXTURE_HUGE),
                     (ssize_t)SNAPSHOT_FIXTURE_HUGE);
    free(bytes);
}

Test(pool, reports_a_failed_worker)
{
    struct pool_fixture fixture;
    int error = 0;

    pool_fixture_prepare(&fixture, 1);
    pool_fixture_start(&fixture, 2, 100);
    shutdown(fixture.net.listeners[0].fd, SHUT_RDWR);
    pool_fixture_await(&fixture, WORKER_FAILED);
    cr_assert_eq(pool_state(fixture.pool, &error), WORKER_FAILED);
    cr_assert_eq(error, -EINVAL);
    pool_fixture_close(&fixture);
}

Test(pool, signals_the_next_change_of_state)
{
    struct pool_fixture fixture;
    struct pollfd pollfd = {.events = POLLIN};
    int error;

    pool_fixture_prepare(&fixture, 1);
    pool_fixture_start(&fixture, 1, 100);
    pollfd.fd = pool_changed_fd(fixture.pool);
    cr_assert_eq(pool_state(fixture.pool, &error), WORKER_ACCEPTING);
    cr_assert_eq(poll(&pollfd, 1, 0), 0);
    pool_post(fixture.pool, WORKER_QUIT);
    net_wait(pollfd.fd, POLLIN);
    pool_fixture_await(&fixture, WORKER_ENDED);
    pool_fixture_close(&fixture);
}

/* Returns a snapshot of the same listeners with the greeting number TURN, 0 or 1. */
static struct snapshot *new_snapshot(struct pool_fixture *fixture, int turn)
{
    static struct greeting greetings[2] = {{.bytes = (char *)"aaaa", .size = 4},
                                           {.bytes = (char *)"bbbb", .size = 4}};
    static struct config_listener configs[2];
    struct snapshot *snapshot;

    /* Workers may use it already. */
    if (!configs[turn].greeting) {
        configs[turn] = fixture->net.configs[0];
        configs[turn].greeting = &greetings[turn];
    }
    cr_assert_eq(snapshot_new(&snapshot, NULL, fixture->net.snapshot->n), 0);
    for (size_t i = 0; i < fixture->net.snapshot->n; i++)
        snapshot_add(snapshot, &fixture->net.listeners[i], &configs[turn]);
    return snapshot;
}

static void adopt(struct pool_fixture *fixture, int turn)
{
    _cleanup_(snapshot_unrefp) struct snapshot *snapshot = new_snapshot(fixture, turn);
    struct generation *prepared;

    cr_assert_eq(pool_prepare(fixture->pool, snapshot, &prepared), 0);
    NET_WAIT_UNTIL(pool_settled(fixture->pool));
    pool_adopt(fixture->pool, snapshot, prepared);
}

/* Connects clients, each of which must read one of the two greetings. */
static void *expect_either_greeting(void *p)
{
    const struct snapshot_fixture *net = p;
    char text[8];

    for (size_t i = 0; i < 200; i++) {
        int client = net_connect(&net->addresses[i % 2]);

        cr_assert_eq(net_read_to_end(client, text, sizeof(text)), 4);
        cr_assert(memcmp(text, "aaaa", 4) == 0 || memcmp(text, "bbbb", 4) == 0);
        close(client);
    }
    return NULL;
}

Test(pool, adopts_another_snapshot_under_load)
{
    struct pool_fixture fixture;
    pthread_t threads[4];

    pool_fixture_prepare(&fixture, 2);
    pool_fixture_start(&fixture, 3, 100);
    adopt(&fixture, 0);
    NET_WAIT_UNTIL(pool_settled(fixture.pool));
    for (size_t i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, expect_either_greeting, &fixture.net), 0);
    for (int turn = 0; turn < 100; turn++)
        adopt(&fixture, turn % 2);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    NET_WAIT_UNTIL(pool_settled(fixture.pool));
    cr_assert_eq(metrics_sum(fixture.metrics).greeted, 800);
    pool_post(fixture.pool, WORKER_STOP);
    pool_fixture_await(&fixture, WORKER_ENDED);
    cr_assert_not(listener_in_use(&fixture.net.listeners[0]));
    pool_fixture_close(&fixture);
}

/* The workers have different listeners, so the same one may have another index in each. */
Test(pool, replaces_a_greeting_in_workers_with_different_shards)
{
    struct pool_fixture fixture;
    struct greeting text = {.references = {1}, .bytes = (char *)"text", .size = 4};

    pool_fixture_prepare(&fixture, 3);
    snapshot_join_shards(fixture.net.snapshot, 1, true);
    fixture.net.snapshot->bindings[2].config = fixture.net.snapshot->bindings[1].config;
    pool_fixture_start(&fixture, 2, 100);
    NET_WAIT_UNTIL(pool_settled(fixture.pool));
    cr_assert_eq(pool_replace_greeting(fixture.pool, fixture.net.snapshot,
                                       fixture.net.snapshot->bindings[1].config, &text),
                 0);
    NET_WAIT_UNTIL(pool_settled(fixture.pool));
    snapshot_fixture_read_hello(net_connect(&fixture.net.addresses[0]));
    net_expect_text(net_connect(&fixture.net.addresses[1]), "text");
    net_expect_text(net_connect(&fixture.net.addresses[2]), "text");
    pool_fixture_close(&fixture);
}

Test(pool, only_the_workers_of_a_shard_use_it)
{
    struct pool_fixture fixture;

    pool_fixture_prepare(&fixture, 2);
    snapshot_join_shards(fixture.net.snapshot, 0, true);
    pool_fixture_start(&fixture, 3, 100);
    cr_assert_eq(fixture.net.listeners[0].users, 2);
    cr_assert_eq(fixture.net.listeners[1].users, 1);
    pool_post(fixture.pool, WORKER_STOP);
    pool_fixture_await(&fixture, WORKER_ENDED);
    cr_assert_not(listener_in_use(&fixture.net.listeners[0]));
    cr_assert_not(listener_in_use(&fixture.net.listeners[1]));
    pool_fixture_close(&fixture);
}

Test(pool, can_be_freed_with_a_snapshot_that_no_worker_adopted)
{
    struct pool_fixture fixture;

    pool_fixture_prepare(&fixture, 1);
    pool_fixture_start(&fixture, 2, 100);
    _cleanup_(snapshot_unrefp) struct snapshot *snapshot = new_snapshot(&fixture, 0);
    struct generation *prepared;
    cr_assert_eq(pool_prepare(fixture.pool, snapshot, &prepared), 0);
    pool_discard(prepared);
    pool_post(fixture.pool, WORKER_QUIT);
    pool_fixture_await(&fixture, WORKER_ENDED);
    adopt(&fixture, 0);
    pool_fixture_close(&fixture);
}

Test(pool, responds_to_a_ping)
{
    struct pool_fixture fixture;
    unsigned stuck;

    pool_fixture_prepare(&fixture, 1);
    pool_fixture_start(&fixture, 3, 100);
    for (int i = 0; i < 3; i++) {
        pool_ping(fixture.pool);
        NET_WAIT_UNTIL(pool_is_responsive(fixture.pool, &stuck));
    }
    pool_fixture_close(&fixture);
}

Test(pool, reports_since_when_it_is_idle)
{
    struct pool_fixture fixture;

    pool_fixture_prepare(&fixture, 1);
    pool_fixture_start(&fixture, 2, 100);
    cr_assert_leq(pool_idle_since(fixture.pool), clock_now());
    int client = net_connect(&fixture.net.addresses[0]);
    NET_WAIT_UNTIL(pool_idle_since(fixture.pool) == USEC_INFINITY);
    uint64_t before = clock_now();
    snapshot_fixture_read_hello(client);
    NET_WAIT_UNTIL(pool_idle_since(fixture.pool) != USEC_INFINITY);
    cr_assert_geq(pool_idle_since(fixture.pool), before);
    pool_fixture_close(&fixture);
}

Test(pool, does_not_start_without_a_random_key)
{
    struct pool_fixture fixture;

    pool_fixture_prepare(&fixture, 1);
    pool_fixture_start(&fixture, 1, 100);
    seccomp_deny(SYS_getrandom, 1, 16, ENOSYS);
    struct pool *pool = NULL;
    cr_assert_eq(pool_start(&pool, fixture.net.snapshot, 100, fixture.metrics, fixture.logger),
                 -ENOSYS);
    cr_assert_null(pool);
    pool_fixture_close(&fixture);
}
