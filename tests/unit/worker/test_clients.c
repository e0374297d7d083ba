/* SPDX-License-Identifier: MIT */
#include "greetd/worker/clients.h"

#include <criterion/criterion.h>
#include <sys/epoll.h>

#include "greetd/base/cleanup.h"
#include "greetd/base/clock.h"
#include "greetd/metrics/result.h"
#include "greetd/net/socket.h"
#include "greetd/worker/context.h"
#include "support/fake_logger.h"
#include "support/fake_send.h"
#include "support/net.h"
#include "support/snapshot_fixture.h"
#include "support/step_clients.h"

#define START ((uint64_t)1000000000)

TestSuite(clients, .timeout = 60);

struct fixture {
    struct snapshot_fixture net;
    struct worker_shared shared;
    struct worker_context context;
    struct clients clients;
};

static void init_clients(struct fixture *fixture, size_t capacity)
{
    cr_assert_eq(clients_init(&fixture->clients, capacity,
                              snapshot_fixture_generation(&fixture->net, fixture->shared.metrics),
                              &fixture->context),
                 0);
}

static void open_fixture_of(struct fixture *fixture, size_t n_bindings, size_t capacity,
                            size_t n_workers)
{
    snapshot_fixture_open(&fixture->net, n_bindings);
    fixture->shared = (struct worker_shared){.max_connections = capacity};
    cr_assert_eq(metrics_new(&fixture->shared.metrics, n_workers), 0);
    fixture->context = (struct worker_context){
        .shared = &fixture->shared,
        .epoll_fd = epoll_create1(EPOLL_CLOEXEC),
        .counters = fixture->shared.metrics->workers,
    };
    init_clients(fixture, capacity);
}

static void open_fixture(struct fixture *fixture, size_t n_bindings, size_t capacity)
{
    open_fixture_of(fixture, n_bindings, capacity, 1);
}

static void close_fixture(struct fixture *fixture)
{
    clients_close_all(&fixture->clients, START + 3600 * SNAPSHOT_FIXTURE_SECOND);
    clients_deinit(&fixture->clients);
    metrics_free(fixture->shared.metrics);
    snapshot_fixture_close(&fixture->net);
}

/* Whether the greeting has arrived. The tests pass in the time of greetd; the kernel needs real
 * time. */
static bool has_arrived(int client, int server)
{
    char bytes[1];

    return recv(client, bytes, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 && net_outstanding(server) == 0;
}

/* Adds a client and returns its socket. */
static int add(struct fixture *fixture, size_t index, uint64_t now_usec)
{
    struct net_pair pair = net_tcp_pair();

    clients_add(
        &fixture->clients,
        &(const struct conn_accepted){.listener = &fixture->clients.newest->listeners[index],
                                      .fd = pair.server,
                                      .peer = pair.peer},
        now_usec);
    if (fixture->net.greetings[index].size < 1024 && !fake_send_error)
        NET_WAIT_UNTIL(has_arrived(pair.client, pair.server));
    return pair.client;
}

static bool epoll_is_quiet(const struct fixture *fixture)
{
    struct epoll_event event;

    return epoll_wait(fixture->context.epoll_fd, &event, 1, 0) == 0;
}

Test(clients, polls_a_greeted_client_soon_before_it_registers_in_epoll)
{
    struct fixture fixture;

    open_fixture(&fixture, 1, 4);
    cr_assert_eq(clients_next_deadline(&fixture.clients), USEC_INFINITY);
    int client = add(&fixture, 0, START);
    cr_assert_eq(fixture.clients.n, 1);
    cr_assert_eq(clients_next_deadline(&fixture.clients), START + CONN_AGAIN_USEC);
    snapshot_fixture_read_hello(client);
    cr_assert(epoll_is_quiet(&fixture));

    clients_expire(&fixture.clients, START + CONN_SOON_USEC - 1);
    cr_assert_eq(fixture.clients.n, 1);
    NET_WAIT_UNTIL((clients_expire(&fixture.clients, START + CONN_SOON_USEC),
                    fixture.clients.n == 0 || fake_logger.n > 0));
    cr_assert_eq(fake_logger.n, 1);
    cr_assert_eq(fake_logger.records[0].result, RESULT_DELIVERED);
    cr_assert_eq(fake_logger.records[0].duration_usec, CONN_SOON_USEC);
    cr_assert_eq(clients_next_deadline(&fixture.clients), USEC_INFINITY);
    close_fixture(&fixture);
}

Test(clients, polls_a_client_that_is_still_connected_once_more)
{
    struct fixture fixture;

    open_fixture(&fixture, 1, 4);
    int client = add(&fixture, 0, START);
    clients_expire(&fixture.clients, START + CONN_SOON_USEC);
    cr_assert_eq(fixture.clients.n, 1);
    cr_assert_eq(clients_next_deadline(&fixture.clients), START + CONN_AGAIN_USEC);
    close(client);
    NET_WAIT_UNTIL(socket_has_hung_up(fixture.clients.table[0].fd));
    clients_expire(&fixture.clients, START + CONN_AGAIN_USEC - 1);
    cr_assert_eq(fixture.clients.n, 1);
    cr_assert_not(fixture.clients.table[0].watched);

    clients_expire(&fixture.clients, START + CONN_AGAIN_USEC);
    cr_assert_eq(fixture.clients.n, 0);
    cr_assert_eq(fake_logger.records[0].result, RESULT_DELIVERED);
    close_fixture(&fixture);
}

Test(clients, ends_a_lingering_client_that_closes)
{
    struct fixture fixture;

    open_fixture(&fixture, 1, 4);
    int client = add(&fixture, 0, START);
    step_polls(&fixture.clients, START);
    cr_assert_eq(clients_next_deadline(&fixture.clients),
                 START + CONN_AGAIN_USEC + 2 * SNAPSHOT_FIXTURE_SECOND);
    close(client);
    step_ready_clients(&fixture.clients, START + SNAPSHOT_FIXTURE_SECOND);
    cr_assert_eq(fixture.clients.n, 0);
    cr_assert_eq(fake_logger.records[0].duration_usec, SNAPSHOT_FIXTURE_SECOND);
    close_fixture(&fixture);
}

Test(clients, ends_a_client_after_the_linger_time)
{
    struct fixture fixture;

    open_fixture(&fixture, 1, 4);
    add(&fixture, 0, START);
    step_polls(&fixture.clients, START);
    uint64_t end = clients_next_deadline(&fixture.clients);
    clients_expire(&fixture.clients, end - 1);
    cr_assert_eq(fixture.clients.n, 1);
    clients_expire(&fixture.clients, end);
    cr_assert_eq(fixture.clients.n, 0);
    close_fixture(&fixture);
}

/* A client that still sends may not have read its greeting yet. */
Test(clients, input_extends_the_linger_up_to_a_limit)
{
    struct fixture fixture;
    uint64_t now = START + CONN_AGAIN_USEC;

    open_fixture(&fixture, 1, 4);
    int client = add(&fixture, 0, START);
    step_polls(&fixture.clients, START);
    while (fixture.clients.n > 0) {
        cr_assert_lt(now, START + 100 * SNAPSHOT_FIXTURE_SECOND);
        cr_assert_eq(clients_next_deadline(&fixture.clients), now + 2 * SNAPSHOT_FIXTURE_SECOND);
        now += SNAPSHOT_FIXTURE_SECOND;
        net_send_zeroes(client, 1000);
        step_ready_clients(&fixture.clients, now);
    }
    cr_assert_geq(now, START + CONN_LINGER_MAX_USEC);
    cr_assert_lt(now, START + CONN_LINGER_MAX_USEC + 2 * SNAPSHOT_FIXTURE_SECOND);
    cr_assert_eq(fake_logger.records[0].result, RESULT_DELIVERED);
    close_fixture(&fixture);
}

Test(clients, times_out_a_client_that_reads_nothing)
{
    struct fixture fixture;

    open_fixture(&fixture, 1, 4);
    snapshot_fixture_make_huge(&fixture.net, 0);
    add(&fixture, 0, START);
    cr_assert_eq(clients_next_deadline(&fixture.clients), START + 30 * SNAPSHOT_FIXTURE_SECOND);

    /* The kernel may have moved a part to the client since: that counts as progress, once. */
    uint64_t now = START + 30 * SNAPSHOT_FIXTURE_SECOND;
    clients_expire(&fixture.clients, now);
    if (fixture.clients.n > 0) {
        cr_assert_eq(clients_next_deadline(&fixture.clients), now + 30 * SNAPSHOT_FIXTURE_SECOND);
        clients_expire(&fixture.clients, now + 30 * SNAPSHOT_FIXTURE_SECOND);
    }
    cr_assert_eq(fixture.clients.n, 0);
    cr_assert_eq(fake_logger.records[0].result, RESULT_TIMEOUT);
    close_fixture(&fixture);
}

Test(clients, restarts_the_write_timeout_when_the_client_reads)
{
    struct fixture fixture;
    static char bytes[64 * 1024];
    uint64_t now = START;

    open_fixture(&fixture, 1, 4);
    snapshot_fixture_make_huge(&fixture.net, 0);
    int client = add(&fixture, 0, now);
    for (int i = 0; i < 5; i++) {
        int before = net_outstanding(fixture.clients.table[0].fd);
        while (net_outstanding(fixture.clients.table[0].fd) >= before)
            net_read(client, bytes, sizeof(bytes));
        now = clients_next_deadline(&fixture.clients);
        clients_expire(&fixture.clients, now);
        cr_assert_eq(fixture.clients.n, 1);
        cr_assert_eq(clients_next_deadline(&fixture.clients), now + 30 * SNAPSHOT_FIXTURE_SECOND);
    }
    close_fixture(&fixture);
}

Test(clients, sends_the_rest_when_epoll_reports_room)
{
    struct fixture fixture;
    char *bytes = malloc(SNAPSHOT_FIXTURE_HUGE);

    open_fixture(&fixture, 1, 4);
    snapshot_fixture_make_huge(&fixture.net, 0);
    int client = add(&fixture, 0, START);
    for (size_t n = 0; n < SNAPSHOT_FIXTURE_HUGE;) {
        net_wait(client, POLLIN);
        ssize_t r = recv(client, bytes + n, SNAPSHOT_FIXTURE_HUGE - n, 0);
        cr_assert_gt(r, 0);
        n += (size_t)r;
        while (!epoll_is_quiet(&fixture))
            step_ready_clients(&fixture.clients, START);
    }
    cr_assert_eq(net_read_to_end(client, bytes, 1), 0);
    cr_assert_eq(clients_next_deadline(&fixture.clients), START + CONN_AGAIN_USEC);
    free(bytes);
    close_fixture(&fixture);
}

Test(clients, times_out_while_the_kernel_stays_out_of_memory)
{
    struct fixture fixture;
    uint64_t now = START;

    open_fixture(&fixture, 1, 4);
    fake_send_error = ENOBUFS;
    add(&fixture, 0, now);
    while (fixture.clients.n > 0 && now < START + 40 * SNAPSHOT_FIXTURE_SECOND)
        clients_expire(&fixture.clients, now = clients_next_deadline(&fixture.clients));
    cr_assert_eq(fixture.clients.n, 0);
    cr_assert_eq(fake_logger.records[0].result, RESULT_TIMEOUT);
    close_fixture(&fixture);
}

Test(clients, each_listener_has_its_own_timeouts)
{
    struct fixture fixture;

    open_fixture(&fixture, 2, 4);
    clients_deinit(&fixture.clients);
    fixture.net.configs[0].settings.linger_usec = 9 * SNAPSHOT_FIXTURE_SECOND;
    fixture.net.configs[1].settings.linger_usec = USEC_INFINITY;
    init_clients(&fixture, 4);
    add(&fixture, 1, START);
    step_polls(&fixture.clients, START);
    cr_assert_eq(clients_next_deadline(&fixture.clients), USEC_INFINITY);

    add(&fixture, 0, START + SNAPSHOT_FIXTURE_SECOND);
    step_polls(&fixture.clients, START + SNAPSHOT_FIXTURE_SECOND);
    cr_assert_eq(clients_next_deadline(&fixture.clients),
                 START + CONN_AGAIN_USEC + 10 * SNAPSHOT_FIXTURE_SECOND);
    clients_expire(&fixture.clients, START + 3600 * SNAPSHOT_FIXTURE_SECOND);
    cr_assert_eq(fixture.clients.n, 1);
    cr_assert_eq(fake_logger.records[0].number, 2);
    close_fixture(&fixture);
}

Test(clients, fills_its_table_and_reuses_free_places)
{
    struct fixture fixture;

    open_fixture(&fixture, 1, 3);
    for (uint64_t round = 0; round < 10; round++) {
        uint64_t now = START + round * 100 * SNAPSHOT_FIXTURE_SECOND;
        int held[3];

        for (size_t i = 0; i < 3; i++) {
            cr_assert(fixture.clients.n < fixture.clients.capacity);
            held[i] = add(&fixture, 0, now);
        }
        cr_assert_not(fixture.clients.n < fixture.clients.capacity);
        step_polls(&fixture.clients, now);
        for (size_t i = 0; i < 3; i++)
            close(held[(i + round) % 3]);
        while (fixture.clients.n > 0)
            step_ready_clients(&fixture.clients, now + SNAPSHOT_FIXTURE_SECOND);
    }
    cr_assert_eq(fixture.clients.n_used, 3);
    cr_assert_eq(fixture.clients.n_ended, 30);
    cr_assert_eq(fake_logger.n, 30);
    close_fixture(&fixture);
}

Test(clients, numbers_are_unique_over_all_workers)
{
    struct fixture fixtures[3];
    bool seen[3 * 5 + 1] = {false};

    for (unsigned worker = 0; worker < 3; worker++) {
        open_fixture_of(&fixtures[worker], 1, 8, 3);
        fixtures[worker].context.index = worker;
        for (int i = 0; i < 5; i++)
            add(&fixtures[worker], 0, START);
        close_fixture(&fixtures[worker]);
    }
    cr_assert_eq(fake_logger.n, 15);
    for (size_t i = 0; i < fake_logger.n; i++) {
        cr_assert(fake_logger.records[i].number >= 1 && fake_logger.records[i].number <= 15);
        cr_assert_not(seen[fake_logger.records[i].number]);
        seen[fake_logger.records[i].number] = true;
        cr_assert_eq(fake_logger.workers[i], (fake_logger.records[i].number - 1) % 3);
    }
}

Test(clients, evicts_the_client_that_was_greeted_longest_ago)
{
    struct fixture fixture;

    open_fixture(&fixture, 2, 8);
    cr_assert_not(clients_can_evict(&fixture.clients, START));
    for (uint64_t i = 0; i < 4; i++) {
        add(&fixture, i % 2, START + i * CONN_AGAIN_USEC);
        step_polls(&fixture.clients, START + i * CONN_AGAIN_USEC);
    }
    add(&fixture, 0, START + 4 * CONN_AGAIN_USEC);
    clients_expire(&fixture.clients, START + 4 * CONN_AGAIN_USEC + CONN_SOON_USEC);
    add(&fixture, 0, START + 4 * CONN_AGAIN_USEC + CONN_SOON_USEC); /* not polled yet */

    for (uint64_t number = 1; number <= 6; number++) {
        cr_assert(clients_can_evict(&fixture.clients, START + 5 * CONN_AGAIN_USEC));
        cr_assert(clients_evict_oldest(&fixture.clients, START + 5 * CONN_AGAIN_USEC));
        cr_assert_eq(fake_logger.records[fake_logger.n - 1].number, number);
    }
    cr_assert_not(clients_evict_oldest(&fixture.clients, START + 5 * CONN_AGAIN_USEC));
    close_fixture(&fixture);
}

Test(clients, does_not_evict_a_client_during_its_greeting)
{
    struct fixture fixture;

    open_fixture(&fixture, 1, 4);
    snapshot_fixture_make_huge(&fixture.net, 0);
    add(&fixture, 0, START);
    cr_assert_not(clients_can_evict(&fixture.clients, START + 20 * SNAPSHOT_FIXTURE_SECOND));
    cr_assert_not(clients_evict_oldest(&fixture.clients, START));
    cr_assert_eq(fixture.clients.n, 1);
    close_fixture(&fixture);
}

Test(clients, closes_all_clients_in_every_state)
{
    struct fixture fixture;

    open_fixture(&fixture, 2, 8);
    snapshot_fixture_make_huge(&fixture.net, 1);
    add(&fixture, 0, START);
    clients_expire(&fixture.clients, START + CONN_SOON_USEC);
    int writing = add(&fixture, 1, START + CONN_SOON_USEC);
    add(&fixture, 0, START + CONN_SOON_USEC);
    clients_close_all(&fixture.clients, START + SNAPSHOT_FIXTURE_SECOND);
    cr_assert_eq(fixture.clients.n, 0);
    cr_assert_eq(fake_logger.n, 3);
    cr_assert_eq(fake_logger.records[0].number, 1);
    cr_assert_eq(fake_logger.records[1].result, RESULT_PARTIAL);
    cr_assert_eq(fixture.shared.metrics->workers->accepted, 3);
    cr_assert_eq(fixture.shared.metrics->workers->ended, 3);
    cr_assert_eq(fixture.shared.metrics->workers->greeted, 2);
    cr_assert_eq(clients_next_deadline(&fixture.clients), USEC_INFINITY);
    close(writing);
    close_fixture(&fixture);
}
