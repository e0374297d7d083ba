/* SPDX-License-Identifier: MIT */
#include "greetd/worker/worker.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "greetd/base/clock.h"
#include "greetd/worker/context.h"
#include "support/logger_options.h"
#include "support/net.h"
#include "support/seccomp_deny.h"
#include "support/snapshot_fixture.h"

TestSuite(worker, .timeout = 60);

struct fixture {
    struct snapshot_fixture net;
    struct sink sink;
    struct worker_shared shared;
    struct worker worker;
};

/* Opens everything but the thread of the worker. */
static void prepare(struct fixture *fixture, size_t n_bindings, size_t capacity)
{
    snapshot_fixture_open(&fixture->net, n_bindings);
    sink_init(&fixture->sink, open("/dev/null", O_WRONLY | O_CLOEXEC));
    fixture->shared = (struct worker_shared){
        .changed_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
        .max_connections = capacity,
    };
    cr_assert_eq(metrics_new(&fixture->shared.metrics, 1), 0);
    cr_assert_eq(logger_start(&fixture->shared.logger, &fixture->sink, fixture->shared.metrics,
                              &LOGGER_EVERYTHING),
                 0);
    cr_assert_eq(worker_init(&fixture->worker, 0, capacity,
                             snapshot_fixture_generation(&fixture->net, fixture->shared.metrics),
                             &fixture->shared),
                 0);
    cr_assert_eq(worker_state(&fixture->worker), WORKER_STARTING);
}

/* Waits until the worker reports STATE. */
static void await_state(struct fixture *fixture, enum worker_state state)
{
    eventfd_t n;

    while (worker_state(&fixture->worker) < state) {
        net_wait(fixture->shared.changed_fd, POLLIN);
        (void)eventfd_read(fixture->shared.changed_fd, &n);
    }
    cr_assert_eq(worker_state(&fixture->worker), state);
}

static int post(struct fixture *fixture, enum worker_message_kind kind)
{
    return worker_post(&fixture->worker, (struct worker_message){.kind = kind});
}

static void open_fixture(struct fixture *fixture, size_t n_bindings, size_t capacity)
{
    prepare(fixture, n_bindings, capacity);
    cr_assert_eq(worker_start(&fixture->worker), 0);
    await_state(fixture, WORKER_ACCEPTING);
}

/* Joins the worker and closes everything. Returns the sums of the counters. */
static struct metrics_sums close_fixture(struct fixture *fixture)
{
    cr_assert_eq(pthread_join(fixture->worker.thread, NULL), 0);
    struct metrics_sums sums = metrics_sum(fixture->shared.metrics);
    worker_deinit(&fixture->worker);
    cr_assert_eq(logger_stop(fixture->shared.logger, USEC_INFINITY), 0);
    metrics_free(fixture->shared.metrics);
    close(fixture->shared.changed_fd);
    snapshot_fixture_close(&fixture->net);
    return sums;
}

static uint64_t n_accepted(struct fixture *fixture)
{
    return metrics_sum(fixture->shared.metrics).accepted;
}

Test(worker, greets_the_clients_of_each_listener)
{
    struct fixture fixture;

    open_fixture(&fixture, 2, 8);
    for (size_t i = 0; i < 20; i++)
        snapshot_fixture_read_hello(net_connect(&fixture.net.addresses[i % 2]));
    cr_assert_eq(post(&fixture, WORKER_QUIT), 0);
    struct metrics_sums sums = close_fixture(&fixture);
    cr_assert_eq(sums.accepted, 20);
    cr_assert_eq(sums.ended, 20);
    cr_assert_eq(sums.greeted, 20);
    cr_assert_eq(sums.bytes_sent, 20 * strlen(SNAPSHOT_FIXTURE_HELLO));
}

Test(worker, greets_clients_that_connected_before_it_started)
{
    struct fixture fixture;
    int clients[40];

    prepare(&fixture, 1, 64);
    for (size_t i = 0; i < 40; i++)
        clients[i] = snapshot_fixture_connect(&fixture.net, 0);
    cr_assert_eq(worker_start(&fixture.worker), 0);
    for (size_t i = 0; i < 40; i++)
        snapshot_fixture_read_hello(clients[i]);
    cr_assert_eq(post(&fixture, WORKER_QUIT), 0);
    cr_assert_eq(close_fixture(&fixture).greeted, 40);
}

Test(worker, sends_all_of_a_huge_greeting)
{
    struct fixture fixture;
    char *bytes = malloc(SNAPSHOT_FIXTURE_HUGE);

    prepare(&fixture, 1, 8);
    snapshot_fixture_make_huge(&fixture.net, 0);
    cr_assert_eq(worker_start(&fixture.worker), 0);
    int client = net_connect(&fixture.net.addresses[0]);
    cr_assert_eq(net_read_to_end(client, bytes, SNAPSHOT_FIXTURE_HUGE),
                 (ssize_t)SNAPSHOT_FIXTURE_HUGE);
    close(client);
    cr_assert_eq(post(&fixture, WORKER_STOP), 0);
    await_state(&fixture, WORKER_ENDED);
    cr_assert_eq(close_fixture(&fixture).bytes_sent, SNAPSHOT_FIXTURE_HUGE);
    free(bytes);
}

Test(worker, leaves_the_queue_to_the_next_process)
{
    struct fixture fixture;

    prepare(&fixture, 1, 8);
    snapshot_fixture_hand_on(&fixture.net);
    cr_assert_eq(post(&fixture, WORKER_STOP), 0);
    cr_assert_eq(worker_start(&fixture.worker), 0);
    await_state(&fixture, WORKER_ENDED);
    int client = snapshot_fixture_connect(&fixture.net, 0);
    cr_assert_geq(accept(fixture.net.listeners[0].fd, NULL, NULL), 0);
    close(client);
    cr_assert_eq(close_fixture(&fixture).accepted, 0);
}

Test(worker, accepts_all_pending_clients_before_it_ends)
{
    struct fixture fixture;
    int clients[100];

    prepare(&fixture, 1, 128);
    for (size_t i = 0; i < 100; i++)
        clients[i] = snapshot_fixture_connect(&fixture.net, 0);
    cr_assert_eq(post(&fixture, WORKER_STOP), 0);
    cr_assert_eq(worker_start(&fixture.worker), 0);
    for (size_t i = 0; i < 100; i++)
        snapshot_fixture_read_hello(clients[i]);
    await_state(&fixture, WORKER_ENDED);
    cr_assert_eq(close_fixture(&fixture).greeted, 100);
}

Test(worker, drains_until_the_last_client_has_closed)
{
    struct fixture fixture;

    prepare(&fixture, 1, 8);
    fixture.net.configs[0].settings.linger_usec = USEC_INFINITY;
    cr_assert_eq(worker_start(&fixture.worker), 0);
    int client = net_connect(&fixture.net.addresses[0]);
    NET_WAIT_UNTIL(n_accepted(&fixture) == 1);
    cr_assert_eq(post(&fixture, WORKER_STOP), 0);
    await_state(&fixture, WORKER_DRAINING);
    snapshot_fixture_read_hello(client);
    await_state(&fixture, WORKER_ENDED);
    cr_assert_eq(close_fixture(&fixture).ended, 1);
}

Test(worker, sends_drips_at_once_when_it_drains)
{
    struct fixture fixture;

    prepare(&fixture, 1, 8);
    fixture.net.configs[0].settings.drip_usec = 3600 * SNAPSHOT_FIXTURE_SECOND;
    cr_assert_eq(worker_start(&fixture.worker), 0);
    int client = net_connect(&fixture.net.addresses[0]);
    NET_WAIT_UNTIL(n_accepted(&fixture) == 1);
    cr_assert_eq(recv(client, &(char){0}, 1, MSG_DONTWAIT), -1);
    cr_assert_eq(post(&fixture, WORKER_STOP), 0);
    snapshot_fixture_read_hello(client);
    await_state(&fixture, WORKER_ENDED);
    cr_assert_eq(close_fixture(&fixture).greeted, 1);
}

Test(worker, quit_drops_all_clients)
{
    struct fixture fixture;
    char *bytes = malloc(SNAPSHOT_FIXTURE_HUGE);

    prepare(&fixture, 1, 8);
    snapshot_fixture_make_huge(&fixture.net, 0);
    cr_assert_eq(worker_start(&fixture.worker), 0);
    int client = net_connect(&fixture.net.addresses[0]);
    net_wait(client, POLLIN);
    snapshot_fixture_hand_on(&fixture.net);
    cr_assert_eq(post(&fixture, WORKER_STOP), 0);
    await_state(&fixture, WORKER_DRAINING);
    cr_assert_eq(post(&fixture, WORKER_QUIT), 0);
    await_state(&fixture, WORKER_ENDED);
    struct metrics_sums sums = close_fixture(&fixture);
    cr_assert_eq(sums.accepted, 1);
    cr_assert_eq(sums.ended, 1);
    cr_assert_eq(sums.greeted, 0);
    cr_assert_eq(net_read_to_end(client, bytes, SNAPSHOT_FIXTURE_HUGE), (ssize_t)sums.bytes_sent);
    free(bytes);
}

Test(worker, fails_when_a_listening_socket_breaks)
{
    struct fixture fixture;

    open_fixture(&fixture, 1, 8);
    shutdown(fixture.net.listeners[0].fd, SHUT_RDWR);
    await_state(&fixture, WORKER_FAILED);
    cr_assert_eq(fixture.worker.error, -EINVAL);
    close_fixture(&fixture);
}

Test(worker, fails_when_epoll_refuses_a_socket)
{
    struct fixture fixture;
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

    prepare(&fixture, 1, 8);
    cr_assert_eq(dup2(file, fixture.net.listeners[0].fd), fixture.net.listeners[0].fd);
    cr_assert_eq(worker_start(&fixture.worker), 0);
    await_state(&fixture, WORKER_FAILED);
    cr_assert_eq(fixture.worker.error, -EPERM);
    close_fixture(&fixture);
}

Test(worker, fails_when_epoll_refuses_a_socket_of_a_reload)
{
    struct fixture fixture;
    struct snapshot_fixture after;
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

    open_fixture(&fixture, 1, 8);
    snapshot_fixture_open(&after, 1);
    cr_assert_eq(dup2(file, after.listeners[0].fd), after.listeners[0].fd);
    const struct worker_message message = {
        .kind = WORKER_ADOPT,
        .generation = snapshot_fixture_generation(&after, fixture.shared.metrics)};
    cr_assert_eq(worker_post(&fixture.worker, message), 0);
    await_state(&fixture, WORKER_FAILED);
    cr_assert_eq(fixture.worker.error, -EPERM);
    close_fixture(&fixture);
    snapshot_fixture_close(&after);
}

Test(worker, is_not_initialised_if_epoll_refuses_its_mailbox)
{
    struct fixture fixture;
    struct worker worker;

    prepare(&fixture, 1, 8);
    struct generation *generation =
        snapshot_fixture_generation(&fixture.net, fixture.shared.metrics);
    seccomp_deny(SYS_epoll_ctl, 1, EPOLL_CTL_ADD, ENOSPC);
    cr_assert_eq(worker_init(&worker, 0, 8, generation, &fixture.shared), -ENOSPC);
    worker_deinit(&worker);
    cr_assert_eq(worker_start(&fixture.worker), 0);
    await_state(&fixture, WORKER_FAILED);
    close_fixture(&fixture);
}

Test(worker, refuses_a_message_when_its_mailbox_is_full)
{
    struct fixture fixture;
    int r = 0;

    prepare(&fixture, 1, 8);
    for (int i = 0; i < 1000 && r == 0; i++)
        r = post(&fixture, WORKER_STOP);
    cr_assert_eq(r, -EAGAIN);
    cr_assert_eq(worker_start(&fixture.worker), 0);
    await_state(&fixture, WORKER_ENDED);
    close_fixture(&fixture);
}

Test(worker, frees_everything_if_it_never_started)
{
    struct fixture fixture;

    prepare(&fixture, 2, 8);
    int epoll_fd = fixture.worker.context.epoll_fd, mailbox_fd = fixture.worker.mailbox_fd;
    worker_deinit(&fixture.worker);
    cr_assert_eq(fcntl(epoll_fd, F_GETFD), -1);
    cr_assert_eq(fcntl(mailbox_fd, F_GETFD), -1);
    cr_assert_eq(logger_stop(fixture.shared.logger, USEC_INFINITY), 0);
    metrics_free(fixture.shared.metrics);
    snapshot_fixture_close(&fixture.net);
}
