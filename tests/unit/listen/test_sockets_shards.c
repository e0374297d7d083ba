/* SPDX-License-Identifier: MIT */

/* Tests of addresses with several sockets. */

#include <criterion/criterion.h>
#include <errno.h>
#include <sys/socket.h>

#include "greetd/base/cleanup.h"
#include "greetd/net/socket.h"
#include "support/fake_systemd.h"
#include "support/net.h"
#include "support/pass_fds.h"
#include "support/sockets_fixture.h"

TestSuite(sockets_shards, .timeout = 60);

#define ONE_ADDRESS "[Server]\nListenStream=\nListenStream=127.0.0.1:0\n"
#define REUSE_PORT  "ReusePort=yes\n"
#define N_CLIENTS   64

/* Opens the sockets of TEXT for N_WORKERS. */
static void open_for(struct sockets_fixture *fixture, const char *text, size_t n_workers)
{
    sockets_fixture_load(fixture, text);
    fixture->n_workers = n_workers;
    cr_assert_eq(sockets_open(&fixture->sockets, fixture->config, n_workers, &fixture->diagnostics),
                 0);
}

/* Connects clients to the first address, and waits until they are connected. */
static void connect_clients(const struct sockets_fixture *fixture, int *clients)
{
    for (size_t i = 0; i < N_CLIENTS; i++)
        clients[i] = net_connect(&sockets_fixture_listener(fixture, 0)->address.in);
}

static void close_clients(const int *clients)
{
    for (size_t i = 0; i < N_CLIENTS; i++)
        close(clients[i]);
}

/* Returns how many clients the queue of socket I has, and takes them out of it. */
static size_t take_queue(const struct sockets_fixture *fixture, size_t i)
{
    size_t n = 0;

    for (int fd; (fd = accept(sockets_fixture_listener(fixture, i)->fd, NULL, NULL)) >= 0; n++)
        close(fd);
    return n;
}

Test(sockets_shards, of_an_address_each_get_a_part_of_the_clients)
{
    struct sockets_fixture fixture;
    int clients[N_CLIENTS];
    size_t n = 0;

    open_for(&fixture, ONE_ADDRESS REUSE_PORT, 3);
    connect_clients(&fixture, clients);
    for (size_t i = 0; i < 3; i++) {
        size_t n_queue = take_queue(&fixture, i);

        cr_assert_gt(n_queue, 0);
        n += n_queue;
    }
    cr_assert_eq(n, N_CLIENTS);
    close_clients(clients);
    sockets_fixture_close(&fixture);
}

/* The new shards are open, but no worker accepts from them yet. */
Test(sockets_shards, have_no_client_before_they_are_in_force)
{
    _cleanup_(snapshot_unrefp) struct snapshot *snapshot = NULL;
    struct sockets_fixture fixture;
    int clients[N_CLIENTS];

    open_for(&fixture, ONE_ADDRESS, 3);
    cr_assert_eq(sockets_fixture_prepare(&fixture, ONE_ADDRESS REUSE_PORT, &snapshot), 0);
    connect_clients(&fixture, clients);
    cr_assert_eq(take_queue(&fixture, 0), N_CLIENTS);
    close_clients(clients);

    cr_assert_eq(sockets_activate(&fixture.sockets, snapshot, &fixture.diagnostics), 0);
    connect_clients(&fixture, clients);
    for (size_t i = 0; i < 3; i++)
        cr_assert_gt(take_queue(&fixture, i), 0);
    close_clients(clients);
    sockets_fixture_close(&fixture);
}

/* User= of the unit has changed while systemd kept the sockets. */
Test(sockets_shards, of_another_user_serve_all_workers)
{
    _cleanup_(snapshot_unrefp) struct snapshot *snapshot = NULL;
    struct sockets_fixture fixture;

    open_for(&fixture, ONE_ADDRESS, 3);
    cr_assert_eq(seteuid(65534), 0);
    int r = sockets_fixture_prepare(
        &fixture, ONE_ADDRESS REUSE_PORT "ListenStream=@a\nListenStream=0.0.0.0:0\n", &snapshot);
    cr_assert_eq(seteuid(0), 0);
    cr_assert_eq(r, 0);
    cr_assert_eq(fixture.diagnostics.n_lines, 1);
    cr_assert_str_eq(
        fixture.diagnostics.lines[0],
        "Failed to listen on 127.0.0.1:0 with a socket for each worker: Address already in use");
    cr_assert_eq(snapshot->n, 1 + 1 + 3);
    const unsigned expected[] = {1, 1, 3, 3, 3};
    for (size_t i = 0; i < snapshot->n; i++)
        cr_assert_eq(snapshot->bindings[i].n_shards, expected[i]);
    cr_assert_eq(snapshot->bindings[0].listener, sockets_fixture_listener(&fixture, 0));
    cr_assert_eq(snapshot->bindings[1].listener->address.sa.sa_family, AF_UNIX);
    cr_assert_eq(snapshot->bindings[4].listener->address.in.sin_addr.s_addr, htonl(INADDR_ANY));
    cr_assert_eq(sockets_activate(&fixture.sockets, snapshot, &fixture.diagnostics), 0);
    sockets_fixture_close(&fixture);
}

Test(sockets_shards, of_a_change_that_fails_lose_no_client)
{
    struct snapshot *snapshot = NULL;
    struct sockets_fixture fixture;
    int clients[N_CLIENTS];

    open_for(&fixture, ONE_ADDRESS REUSE_PORT, 2);
    fixture.sockets.n_workers = 4;
    cr_assert_eq(sockets_fixture_prepare(&fixture, ONE_ADDRESS REUSE_PORT, &snapshot), 0);
    cr_assert_eq(snapshot->n, 4);
    connect_clients(&fixture, clients);
    snapshot_unref(snapshot);
    cr_assert_eq(take_queue(&fixture, 0) + take_queue(&fixture, 1), N_CLIENTS);
    close_clients(clients);
    sockets_fixture_close(&fixture);
}

Test(sockets_shards, stay_when_reuse_port_is_switched_off)
{
    struct sockets_fixture fixture;
    int clients[N_CLIENTS];
    size_t n = 0;

    open_for(&fixture, ONE_ADDRESS REUSE_PORT, 3);
    connect_clients(&fixture, clients);
    sockets_fixture_change(&fixture, ONE_ADDRESS);
    cr_assert_eq(fixture.sockets.snapshot->n, 3);
    cr_assert_not(fixture.sockets.snapshot->bindings[0].spread);
    for (size_t i = 0; i < 3; i++)
        n += take_queue(&fixture, i);
    cr_assert_eq(n, N_CLIENTS);
    close_clients(clients);
    sockets_fixture_close(&fixture);
}

Test(sockets_shards, of_a_removed_address_are_closed_together)
{
    struct sockets_fixture fixture;
    char address[ADDRESS_TEXT_MAX];

    open_for(&fixture, ONE_ADDRESS REUSE_PORT, 2);
    struct listener *listeners[] = {sockets_fixture_listener(&fixture, 0),
                                    sockets_fixture_listener(&fixture, 1)};
    listener_use(listeners[0], 1);
    listener_use(listeners[1], 1);
    sockets_fixture_change(&fixture, "[Server]\nListenStream=@b\n");
    cr_assert(listener_release(listeners[0]));
    cr_assert_not(sockets_close_leaving(&fixture.sockets, address), "its worker helps the other");
    cr_assert(listener_release(listeners[1]));
    cr_assert(sockets_close_leaving(&fixture.sockets, address));
    cr_assert_not(sockets_close_leaving(&fixture.sockets, address));
    sockets_fixture_close(&fixture);
}

Test(sockets_shards, are_closed_together_at_the_end)
{
    struct sockets_fixture fixture;

    open_for(&fixture, ONE_ADDRESS REUSE_PORT, 2);
    listener_use(sockets_fixture_listener(&fixture, 1), 1);
    sockets_close_unused(&fixture.sockets);
    cr_assert_geq(sockets_fixture_listener(&fixture, 0)->fd, 0);
    cr_assert(listener_release(sockets_fixture_listener(&fixture, 1)));
    sockets_close_unused(&fixture.sockets);
    cr_assert_eq(sockets_fixture_listener(&fixture, 0)->fd, -1);
    cr_assert_eq(sockets_fixture_listener(&fixture, 1)->fd, -1);
    sockets_fixture_close(&fixture);
}

/* Opens two addresses with two shards each, and a store that has room for N_STORED sockets. */
static void open_stored(struct sockets_fixture *fixture, const char *n_stored)
{
    setenv("FDSTORE", n_stored, 1);
    fake_systemd_open();
    open_for(fixture, ONE_ADDRESS "ListenStream=127.0.0.1:0\n" REUSE_PORT, 2);
}

Test(sockets_shards, are_stored_after_one_socket_of_each_address)
{
    const bool stored[][4] = {{1, 0, 0, 0}, {1, 0, 1, 0}, {1, 1, 1, 0}, {1, 1, 1, 1}};
    const char *rooms[] = {"1", "2", "3", "4"};

    for (size_t i = 0; i < ELEMENTSOF(rooms); i++) {
        struct sockets_fixture fixture;

        open_stored(&fixture, rooms[i]);
        for (size_t j = 0; j < 4; j++)
            cr_expect_eq(sockets_fixture_listener(&fixture, j)->handed_on, stored[i][j]);
        cr_expect_eq(fixture.sockets.n_not_kept, 3 - i);
        sockets_fixture_close(&fixture);
    }
}

/* Without that, a client in the queue of the other shard would be reset at the end. */
Test(sockets_shards, that_the_next_process_gets_have_all_new_clients_at_the_end)
{
    struct sockets_fixture fixture;
    int clients[N_CLIENTS];

    open_stored(&fixture, "2");
    sockets_drop_syn(&fixture.sockets, NULL);
    connect_clients(&fixture, clients);
    cr_assert_eq(take_queue(&fixture, 0), N_CLIENTS);
    close_clients(clients);
    sockets_fixture_close(&fixture);
}

/* Returns a second socket at the address of FIRST. */
static int listen_beside(int first, const struct sockaddr_in *address)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    cr_assert_eq(socket_share_address(first), 0);
    cr_assert_eq(socket_share_address(fd), 0);
    cr_assert_eq(bind(fd, (const struct sockaddr *)address, sizeof(*address)), 0);
    cr_assert_eq(listen(fd, N_CLIENTS), 0);
    return fd;
}

Test(sockets_shards, that_systemd_passes_are_spread_over_the_workers)
{
    struct sockets_fixture fixture;
    struct sockaddr_in address, other;
    int fds[3] = {net_listen(&address), net_listen(&other), -1};

    fds[2] = listen_beside(fds[0], &address);
    sockets_fixture_load(&fixture, "[Listener b]\nMessage=b\n");
    fixture.n_workers = 2;
    cr_assert_eq(sockets_fixture_open_passed(&fixture, fds, 3, "a:b:c"), 0);
    const struct binding *bindings = fixture.sockets.snapshot->bindings;
    cr_assert_eq(fixture.sockets.snapshot->n, 3);
    for (unsigned i = 0; i < 2; i++) {
        cr_assert_eq(bindings[i].shard, i);
        cr_assert_eq(bindings[i].n_shards, 2);
        cr_assert(bindings[i].spread);
    }
    cr_assert_str_eq(binding_name(&bindings[1]), "c");
    cr_assert_eq(bindings[2].n_shards, 1);
    cr_assert_str_eq(bindings[2].config->name, "b");
    sockets_fixture_close(&fixture);
}
