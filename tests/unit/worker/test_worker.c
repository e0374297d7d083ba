/* SPDX-License-Identifier: MIT */
#include "greetd/worker/worker.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "greetd/base/timeout_queue.h"
#include "support/logger_options.h"
#include "support/net.h"
#include "support/snapshot_fixture.h"

TestSuite(worker, .timeout = 60);

struct scene {
    struct place place;
    struct log log;
    struct worker_shared shared;
    struct worker worker;
};

static void prepare(struct scene *scene, size_t n_endpoints, size_t capacity)
{
    place_open(&scene->place, n_endpoints);
    log_init(&scene->log, open("/dev/null", O_WRONLY | O_CLOEXEC));
    scene->shared = (struct worker_shared){
        .n_workers = 1,
        .accept.changed_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
        .accept.max_connections = capacity,
    };
    cr_assert_eq(metrics_init(&scene->shared.accept.metrics, 1), 0);
    cr_assert_eq(connlog_start(&scene->shared.connlog, &scene->log, 1, &CONNLOG_EVERYTHING), 0);
    cr_assert_eq(worker_init(&scene->worker, 0, capacity,
                             place_generation(&scene->place, &scene->shared.accept.metrics),
                             &scene->shared),
                 0);
    cr_assert_eq(worker_state(&scene->worker), WORKER_STARTING);
}

/* Waits until the worker has announced that it has reached STATE. */
static void await_state(struct scene *scene, enum worker_state state)
{
    eventfd_t n;

    while (worker_state(&scene->worker) < state) {
        net_wait(scene->shared.accept.changed_fd, POLLIN);
        (void)eventfd_read(scene->shared.accept.changed_fd, &n);
    }
    cr_assert_eq(worker_state(&scene->worker), state);
}

static int tell(struct scene *scene, enum worker_message_kind kind)
{
    return worker_post(&scene->worker, (struct worker_message){.kind = kind});
}

static void start(struct scene *scene, size_t n_endpoints, size_t capacity)
{
    prepare(scene, n_endpoints, capacity);
    cr_assert_eq(worker_start(&scene->worker), 0);
    await_state(scene, WORKER_ACCEPTING);
}

/* Waits until the worker has ended and frees everything. Returns what it has counted. */
static struct metrics_sums join(struct scene *scene)
{
    cr_assert_eq(pthread_join(scene->worker.thread, NULL), 0);
    struct metrics_sums sums = metrics_sum(&scene->shared.accept.metrics);
    worker_deinit(&scene->worker);
    cr_assert_eq(connlog_stop(scene->shared.connlog, DEADLINE_NEVER), 0);
    metrics_deinit(&scene->shared.accept.metrics);
    close(scene->shared.accept.changed_fd);
    place_close(&scene->place);
    return sums;
}

static uint64_t n_accepted(struct scene *scene)
{
    return metrics_sum(&scene->shared.accept.metrics).accepted;
}

Test(worker, greets_whoever_comes)
{
    struct scene scene;

    start(&scene, 2, 8);
    for (size_t i = 0; i < 20; i++)
        place_read_hello(net_connect(&scene.place.addresses[i % 2]));
    cr_assert_eq(tell(&scene, WORKER_QUIT), 0);
    struct metrics_sums sums = join(&scene);
    cr_assert_eq(sums.accepted, 20);
    cr_assert_eq(sums.ended, 20);
    cr_assert_eq(sums.greeted, 20);
    cr_assert_eq(sums.bytes_sent, 20 * strlen(PLACE_HELLO));
}

Test(worker, greets_those_who_came_before_it)
{
    struct scene scene;
    int clients[40];

    prepare(&scene, 1, 64);
    for (size_t i = 0; i < 40; i++)
        clients[i] = place_connect(&scene.place, 0);
    cr_assert_eq(worker_start(&scene.worker), 0);
    for (size_t i = 0; i < 40; i++)
        place_read_hello(clients[i]);
    cr_assert_eq(tell(&scene, WORKER_QUIT), 0);
    cr_assert_eq(join(&scene).greeted, 40);
}

Test(worker, gives_all_of_a_huge_greeting)
{
    struct scene scene;
    char *bytes = malloc(PLACE_HUGE);

    prepare(&scene, 1, 8);
    place_make_huge(&scene.place, 0);
    cr_assert_eq(worker_start(&scene.worker), 0);
    int client = net_connect(&scene.place.addresses[0]);
    cr_assert_eq(net_read_to_end(client, bytes, PLACE_HUGE), (ssize_t)PLACE_HUGE);
    close(client);
    cr_assert_eq(tell(&scene, WORKER_STOP), 0);
    await_state(&scene, WORKER_ENDED);
    cr_assert_eq(join(&scene).bytes_sent, PLACE_HUGE);
    free(bytes);
}

Test(worker, leaves_the_queue_to_the_next_process)
{
    struct scene scene;

    prepare(&scene, 1, 8);
    place_hand_on(&scene.place);
    cr_assert_eq(tell(&scene, WORKER_STOP), 0);
    cr_assert_eq(worker_start(&scene.worker), 0);
    await_state(&scene, WORKER_ENDED);
    int client = place_connect(&scene.place, 0);
    cr_assert_geq(accept(scene.place.listeners[0].fd, NULL, NULL), 0);
    close(client);
    cr_assert_eq(join(&scene).accepted, 0);
}

Test(worker, empties_the_queue_before_it_ends)
{
    struct scene scene;
    int clients[100];

    prepare(&scene, 1, 128);
    for (size_t i = 0; i < 100; i++)
        clients[i] = place_connect(&scene.place, 0);
    cr_assert_eq(tell(&scene, WORKER_STOP), 0);
    cr_assert_eq(worker_start(&scene.worker), 0);
    for (size_t i = 0; i < 100; i++)
        place_read_hello(clients[i]);
    await_state(&scene, WORKER_ENDED);
    cr_assert_eq(join(&scene).greeted, 100);
}

Test(worker, drains_until_the_last_client_has_gone)
{
    struct scene scene;

    prepare(&scene, 1, 8);
    scene.worker.clients.newest->lanes[0].terms.linger_usec = DEADLINE_NEVER;
    cr_assert_eq(worker_start(&scene.worker), 0);
    int client = net_connect(&scene.place.addresses[0]);
    NET_WAIT_UNTIL(n_accepted(&scene) == 1);
    cr_assert_eq(tell(&scene, WORKER_STOP), 0);
    await_state(&scene, WORKER_DRAINING);
    place_read_hello(client);
    await_state(&scene, WORKER_ENDED);
    cr_assert_eq(join(&scene).ended, 1);
}

Test(worker, quits_with_whomever_it_holds)
{
    struct scene scene;
    char *bytes = malloc(PLACE_HUGE);

    prepare(&scene, 1, 8);
    place_make_huge(&scene.place, 0);
    cr_assert_eq(worker_start(&scene.worker), 0);
    int client = net_connect(&scene.place.addresses[0]);
    net_wait(client, POLLIN);
    place_hand_on(&scene.place);
    cr_assert_eq(tell(&scene, WORKER_STOP), 0);
    await_state(&scene, WORKER_DRAINING);
    cr_assert_eq(tell(&scene, WORKER_QUIT), 0);
    await_state(&scene, WORKER_ENDED);
    struct metrics_sums sums = join(&scene);
    cr_assert_eq(sums.accepted, 1);
    cr_assert_eq(sums.ended, 1);
    cr_assert_eq(sums.greeted, 0);
    cr_assert_eq(net_read_to_end(client, bytes, PLACE_HUGE), (ssize_t)sums.bytes_sent);
    free(bytes);
}

Test(worker, fails_when_a_listening_socket_becomes_useless)
{
    struct scene scene;

    start(&scene, 1, 8);
    shutdown(scene.place.listeners[0].fd, SHUT_RDWR);
    await_state(&scene, WORKER_FAILED);
    cr_assert_eq(scene.worker.error, -EINVAL);
    join(&scene);
}

Test(worker, fails_when_epoll_refuses_a_socket)
{
    struct scene scene;
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

    prepare(&scene, 1, 8);
    cr_assert_eq(dup2(file, scene.place.listeners[0].fd), scene.place.listeners[0].fd);
    cr_assert_eq(worker_start(&scene.worker), 0);
    await_state(&scene, WORKER_FAILED);
    cr_assert_eq(scene.worker.error, -EPERM);
    join(&scene);
}

Test(worker, refuses_a_message_when_its_mailbox_is_full)
{
    struct scene scene;
    int r = 0;

    prepare(&scene, 1, 8);
    for (int i = 0; i < 1000 && r == 0; i++)
        r = tell(&scene, WORKER_STOP);
    cr_assert_eq(r, -EAGAIN);
    cr_assert_eq(worker_start(&scene.worker), 0);
    await_state(&scene, WORKER_ENDED);
    join(&scene);
}

Test(worker, leaves_nothing_behind_if_it_never_started)
{
    struct scene scene;

    prepare(&scene, 2, 8);
    int epoll_fd = scene.worker.epoll_fd, mailbox_fd = scene.worker.mailbox_fd;
    worker_deinit(&scene.worker);
    metrics_deinit(&scene.shared.accept.metrics);
    cr_assert_eq(fcntl(epoll_fd, F_GETFD), -1);
    cr_assert_eq(fcntl(mailbox_fd, F_GETFD), -1);
    cr_assert_eq(connlog_stop(scene.shared.connlog, DEADLINE_NEVER), 0);
    place_close(&scene.place);
}
