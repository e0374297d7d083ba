/* SPDX-License-Identifier: MIT */
#pragma once

/* An acceptor with its epoll and its clients, and one round of the loop of a worker. */

#include <criterion/criterion.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "greetd/base/clock.h"
#include "greetd/worker/acceptor.h"
#include "greetd/worker/context.h"
#include "support/net.h"
#include "support/snapshot_fixture.h"

#define ACCEPTOR_FIXTURE_START ((uint64_t)1000000000)

/* One run accepts at most so many clients from one queue. */
#define ACCEPTOR_FIXTURE_BATCH 16

struct acceptor_fixture {
    struct snapshot_fixture net;
    struct worker_shared shared;
    struct worker_context context;
    struct clients clients;
    struct acceptor acceptor;
};

/* Starts the first of N_WORKERS, which has room for CAPACITY clients of its snapshot. */
static inline void acceptor_fixture_start(struct acceptor_fixture *fixture, size_t n_workers,
                                          size_t capacity)
{
    fixture->shared = (struct worker_shared){
        .max_connections = capacity,
        .changed_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
        .look_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
    };
    cr_assert_eq(metrics_new(&fixture->shared.metrics, n_workers), 0);
    fixture->context = (struct worker_context){
        .shared = &fixture->shared,
        .epoll_fd = epoll_create1(EPOLL_CLOEXEC),
        .counters = fixture->shared.metrics->workers,
    };
    cr_assert_eq(clients_init(&fixture->clients, capacity,
                              snapshot_fixture_generation(&fixture->net, fixture->shared.metrics),
                              &fixture->context),
                 0);
    acceptor_init(&fixture->acceptor, &fixture->clients, &fixture->context);
    cr_assert_eq(acceptor_start(&fixture->acceptor), 0);
}

static inline void acceptor_fixture_open(struct acceptor_fixture *fixture, size_t n_bindings,
                                         size_t capacity)
{
    snapshot_fixture_open(&fixture->net, n_bindings);
    acceptor_fixture_start(fixture, 1, capacity);
}

/* Opens a shard for each of N_WORKERS; the first one is that of this worker. */
static inline void acceptor_fixture_open_shards(struct acceptor_fixture *fixture, size_t n_workers,
                                                size_t capacity)
{
    snapshot_fixture_open(&fixture->net, n_workers);
    snapshot_join_shards(fixture->net.snapshot, 0, true);
    acceptor_fixture_start(fixture, n_workers, capacity);
}

static inline void acceptor_fixture_close(struct acceptor_fixture *fixture)
{
    clients_close_all(&fixture->clients, ACCEPTOR_FIXTURE_START);
    clients_deinit(&fixture->clients);
    buffer_deinit(&fixture->context.rendered);
    metrics_free(fixture->shared.metrics);
    close(fixture->shared.changed_fd);
    close(fixture->shared.look_fd);
    snapshot_fixture_close(&fixture->net);
}

/* Stops accepting, and leaves the clients in the queues to the next process. */
static inline void acceptor_fixture_stop_handed_on(struct acceptor_fixture *fixture)
{
    snapshot_fixture_hand_on(&fixture->net);
    acceptor_stop(&fixture->acceptor);
}

/* Handles the events that epoll reports now. Returns how many are of listening sockets. */
static inline int acceptor_fixture_dispatch(struct acceptor_fixture *fixture, uint64_t now_usec)
{
    struct epoll_event events[16];
    int n = epoll_wait(fixture->context.epoll_fd, events, 16, 0), n_listeners = 0;

    for (int i = 0; i < n; i++) {
        size_t index = event_index(events[i].data.u64);

        if (event_kind(events[i].data.u64) == EVENT_LISTENER) {
            acceptor_mark_ready(&fixture->acceptor, index);
            n_listeners++;
        } else {
            clients_step(&fixture->clients, index, now_usec);
        }
    }
    return n_listeners;
}

/* Makes one round of the loop of a worker. */
static inline int acceptor_fixture_run_once(struct acceptor_fixture *fixture, uint64_t now_usec)
{
    acceptor_fixture_dispatch(fixture, now_usec);
    clients_expire(&fixture->clients, now_usec);
    return acceptor_run(&fixture->acceptor, now_usec);
}

/* Whether any listening socket is paused. */
static inline bool acceptor_fixture_is_paused(const struct acceptor_fixture *fixture)
{
    return fixture->acceptor.resume_usec != USEC_INFINITY;
}

/* Returns how often this worker has asked the others to accept since the last call. */
static inline eventfd_t acceptor_fixture_n_look_requests(const struct acceptor_fixture *fixture)
{
    eventfd_t n = 0;

    return eventfd_read(fixture->shared.look_fd, &n) == 0 ? n : 0;
}

/* Connects N clients to the first listener. */
static inline void acceptor_fixture_connect(const struct acceptor_fixture *fixture, size_t n)
{
    for (size_t i = 0; i < n; i++)
        snapshot_fixture_connect(&fixture->net, 0);
}

/* Opens a table with one place and fills it with a client that is still being greeted. Returns that
 * client. */
static inline int acceptor_fixture_open_full(struct acceptor_fixture *fixture, size_t n_bindings)
{
    acceptor_fixture_open(fixture, n_bindings, 1);
    snapshot_fixture_make_huge(&fixture->net, 0);
    int client = snapshot_fixture_connect(&fixture->net, 0);
    cr_assert_eq(acceptor_fixture_run_once(fixture, ACCEPTOR_FIXTURE_START), 0);
    cr_assert_eq(fixture->clients.n, 1);
    return client;
}
