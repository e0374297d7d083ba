/* SPDX-License-Identifier: MIT */
#include "greetd/pool.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>

#include "greetd/deadline.h"
#include "net.h"
#include "place.h"

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
    cr_assert_eq(connlog_start(&scene->connlog, &scene->log, 8, true), 0);
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
    pool_end(scene->pool);
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
