/* SPDX-License-Identifier: MIT */
#include "greetd/worker/pool.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>

#include "greetd/base/timeout_queue.h"
#include "support/logger_options.h"
#include "support/net.h"
#include "support/snapshot_fixture.h"

TestSuite(pool, .timeout = 120);

struct scene {
    struct place place;
    struct log log;
    struct connlog *connlog;
    struct pool *pool;
};

static void prepare(struct scene *scene, size_t n_endpoints)
{
    place_open(&scene->place, n_endpoints);
    log_init(&scene->log, open("/dev/null", O_WRONLY | O_CLOEXEC));
    cr_assert_eq(connlog_start(&scene->connlog, &scene->log, 8, &CONNLOG_EVERYTHING), 0);
}

static void await_state(struct scene *scene, enum worker_state state)
{
    int error;

    while (pool_state(scene->pool, &error) < state)
        net_wait(pool_changed_fd(scene->pool), POLLIN);
    cr_assert_eq(pool_state(scene->pool, &error), state);
}

static void start(struct scene *scene, unsigned n_workers, uint64_t max_connections)
{
    cr_assert_eq(pool_start(&scene->pool, scene->place.endpoints, n_workers, max_connections,
                            scene->connlog),
                 0);
    await_state(scene, WORKER_ACCEPTING);
}

static void finish(struct scene *scene)
{
    cr_assert_eq(pool_end(scene->pool, DEADLINE_NEVER), 0);
    cr_assert_eq(connlog_stop(scene->connlog, DEADLINE_NEVER), 0);
    pool_free(scene->pool);
    place_close(&scene->place);
}

static void *come_and_go(void *p)
{
    const struct place *place = p;

    for (size_t i = 0; i < 100; i++)
        place_read_hello(net_connect(&place->addresses[i % 2]));
    return NULL;
}

Test(pool, greets_all_clients_with_all_workers)
{
    struct scene scene;
    pthread_t threads[6];

    prepare(&scene, 2);
    start(&scene, 4, 100);
    cr_assert_eq(pool_n_workers(scene.pool), 4);
    for (size_t i = 0; i < 6; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, come_and_go, &scene.place), 0);
    for (size_t i = 0; i < 6; i++)
        pthread_join(threads[i], NULL);

    pool_post(scene.pool, WORKER_STOP);
    await_state(&scene, WORKER_ENDED);
    struct metrics_sums sums = pool_sums(scene.pool);
    cr_assert_eq(sums.accepted, 600);
    cr_assert_eq(sums.ended, 600);
    cr_assert_eq(sums.greeted, 600);
    cr_assert_eq(sums.refused, 0);
    cr_assert_eq(sums.bytes_sent, 600 * strlen(PLACE_HELLO));
    finish(&scene);
}

Test(pool, has_no_more_workers_than_clients_to_hold)
{
    struct scene scene;

    prepare(&scene, 1);
    start(&scene, 8, 3);
    cr_assert_eq(pool_n_workers(scene.pool), 3);
    place_read_hello(net_connect(&scene.place.addresses[0]));
    finish(&scene);
}

Test(pool, holds_as_many_clients_as_it_may_and_lets_the_others_wait)
{
    struct scene scene;
    char *bytes = malloc(PLACE_HUGE);
    int clients[7];

    prepare(&scene, 1);
    place_make_huge(&scene.place, 0);
    start(&scene, 3, 5);
    for (size_t i = 0; i < 7; i++)
        clients[i] = net_connect(&scene.place.addresses[0]);
    NET_WAIT_UNTIL(pool_sums(scene.pool).accepted >= 5);
    net_wait(scene.place.listeners[0].fd, POLLIN);

    /* Each that goes makes room for one more. */
    for (size_t gone = 1; gone <= 2; gone++) {
        cr_assert_eq(pool_sums(scene.pool).accepted, 4 + gone);
        net_reset(clients[gone - 1]);
        NET_WAIT_UNTIL(pool_sums(scene.pool).accepted >= 5 + gone);
    }
    finish(&scene);
    free(bytes);
}

/* Epoll may wake the worker that has no room. */
Test(pool, takes_a_newcomer_as_long_as_any_worker_has_room)
{
    struct scene scene;
    int clients[2];

    prepare(&scene, 1);
    scene.place.configs[0].settings.linger_usec = DEADLINE_NEVER;
    start(&scene, 2, 2);
    for (size_t i = 0; i < 2; i++) {
        clients[i] = net_connect(&scene.place.addresses[0]);
        place_read_hello(dup(clients[i]));
    }
    for (size_t i = 0; i < 40; i++) {
        uint64_t n = pool_sums(scene.pool).ended;

        close(clients[i % 2]);
        NET_WAIT_UNTIL(pool_sums(scene.pool).ended > n);
        clients[i % 2] = net_connect(&scene.place.addresses[0]);
        place_read_hello(dup(clients[i % 2]));
    }
    finish(&scene);
}

Test(pool, is_as_far_as_its_slowest_worker)
{
    struct scene scene;

    prepare(&scene, 1);
    place_make_huge(&scene.place, 0);
    start(&scene, 4, 100);
    int client = net_connect(&scene.place.addresses[0]);
    net_wait(client, POLLIN);
    pool_post(scene.pool, WORKER_STOP);
    await_state(&scene, WORKER_DRAINING);
    net_reset(client);
    await_state(&scene, WORKER_ENDED);
    finish(&scene);
}

Test(pool, leaves_the_queue_when_told_to)
{
    struct scene scene;

    prepare(&scene, 1);
    start(&scene, 4, 100);
    place_hand_on(&scene.place);
    pool_post(scene.pool, WORKER_STOP);
    await_state(&scene, WORKER_ENDED);
    place_connect(&scene.place, 0);
    cr_assert_geq(accept(scene.place.listeners[0].fd, NULL, NULL), 0);
    cr_assert_eq(pool_sums(scene.pool).accepted, 0);
    finish(&scene);
}

Test(pool, can_be_freed_while_it_holds_clients)
{
    struct scene scene;
    char *bytes = malloc(PLACE_HUGE);
    int clients[10];

    prepare(&scene, 1);
    place_make_huge(&scene.place, 0);
    start(&scene, 2, 100);
    for (size_t i = 0; i < 10; i++) {
        clients[i] = net_connect(&scene.place.addresses[0]);
        net_wait(clients[i], POLLIN);
    }
    finish(&scene);
    for (size_t i = 0; i < 10; i++)
        cr_assert_lt(net_read_to_end(clients[i], bytes, PLACE_HUGE), (ssize_t)PLACE_HUGE);
    free(bytes);
}

Test(pool, tells_of_a_worker_that_failed)
{
    struct scene scene;
    int error = 0;

    prepare(&scene, 1);
    start(&scene, 2, 100);
    shutdown(scene.place.listeners[0].fd, SHUT_RDWR);
    await_state(&scene, WORKER_FAILED);
    cr_assert_eq(pool_state(scene.pool, &error), WORKER_FAILED);
    cr_assert_eq(error, -EINVAL);
    finish(&scene);
}

Test(pool, is_quiet_until_a_state_changes_again)
{
    struct scene scene;
    struct pollfd pollfd = {.events = POLLIN};
    int error;

    prepare(&scene, 1);
    start(&scene, 1, 100);
    pollfd.fd = pool_changed_fd(scene.pool);
    cr_assert_eq(pool_state(scene.pool, &error), WORKER_ACCEPTING);
    cr_assert_eq(poll(&pollfd, 1, 0), 0);
    pool_post(scene.pool, WORKER_QUIT);
    net_wait(pollfd.fd, POLLIN);
    await_state(&scene, WORKER_ENDED);
    finish(&scene);
}

/* The endpoints of the place with another greeting, in turn of two. */
static struct endpoints *renewed(struct scene *scene, int turn)
{
    static struct greeting greetings[2] = {{.bytes = (char *)"aaaa", .size = 4},
                                           {.bytes = (char *)"bbbb", .size = 4}};
    static struct config_listener configs[2];
    struct endpoints *endpoints;

    configs[turn] = scene->place.configs[0];
    configs[turn].greeting = &greetings[turn];
    cr_assert_eq(endpoints_new(&endpoints, NULL, scene->place.endpoints->n), 0);
    for (size_t i = 0; i < scene->place.endpoints->n; i++)
        endpoints_add(endpoints, &scene->place.listeners[i], &configs[turn]);
    return endpoints;
}

static void adopt(struct scene *scene, int turn)
{
    _cleanup_(endpoints_unrefp) struct endpoints *endpoints = renewed(scene, turn);
    struct generation *prepared;

    cr_assert_eq(pool_prepare(scene->pool, endpoints, &prepared), 0);
    NET_WAIT_UNTIL(pool_settled(scene->pool));
    pool_adopt(scene->pool, endpoints, prepared);
}

static void *come_for_either(void *p)
{
    const struct place *place = p;
    char text[8];

    for (size_t i = 0; i < 200; i++) {
        int client = net_connect(&place->addresses[i % 2]);

        cr_assert_eq(net_read_to_end(client, text, sizeof(text)), 4);
        cr_assert(memcmp(text, "aaaa", 4) == 0 || memcmp(text, "bbbb", 4) == 0);
        close(client);
    }
    return NULL;
}

Test(pool, changes_what_it_serves_under_load)
{
    struct scene scene;
    pthread_t threads[4];

    prepare(&scene, 2);
    start(&scene, 3, 100);
    adopt(&scene, 0);
    NET_WAIT_UNTIL(pool_settled(scene.pool));
    for (size_t i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, come_for_either, &scene.place), 0);
    for (int turn = 0; turn < 100; turn++)
        adopt(&scene, turn % 2);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    NET_WAIT_UNTIL(pool_settled(scene.pool));
    cr_assert_eq(pool_sums(scene.pool).greeted, 800);
    pool_post(scene.pool, WORKER_STOP);
    await_state(&scene, WORKER_ENDED);
    cr_assert_not(listener_in_use(&scene.place.listeners[0]));
    finish(&scene);
}

Test(pool, can_be_freed_with_what_it_has_not_taken_up)
{
    struct scene scene;

    prepare(&scene, 1);
    start(&scene, 2, 100);
    _cleanup_(endpoints_unrefp) struct endpoints *endpoints = renewed(&scene, 0);
    struct generation *prepared;
    cr_assert_eq(pool_prepare(scene.pool, endpoints, &prepared), 0);
    pool_discard(prepared);
    pool_post(scene.pool, WORKER_QUIT);
    await_state(&scene, WORKER_ENDED);
    adopt(&scene, 0);
    finish(&scene);
}

Test(pool, goes_round_when_it_is_prodded)
{
    struct scene scene;
    unsigned stuck;

    prepare(&scene, 1);
    start(&scene, 3, 100);
    for (int i = 0; i < 3; i++) {
        pool_prod(scene.pool);
        NET_WAIT_UNTIL(pool_went_round(scene.pool, &stuck));
    }
    finish(&scene);
}

Test(pool, knows_since_when_it_has_been_idle)
{
    struct scene scene;

    prepare(&scene, 1);
    start(&scene, 2, 100);
    cr_assert_leq(pool_idle_since(scene.pool), deadline_now());
    int client = net_connect(&scene.place.addresses[0]);
    NET_WAIT_UNTIL(pool_idle_since(scene.pool) == DEADLINE_NEVER);
    uint64_t before = deadline_now();
    place_read_hello(client);
    NET_WAIT_UNTIL(pool_idle_since(scene.pool) != DEADLINE_NEVER);
    cr_assert_geq(pool_idle_since(scene.pool), before);
    finish(&scene);
}
