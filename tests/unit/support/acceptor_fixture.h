/* SPDX-License-Identifier: MIT */
#pragma once

/* An acceptor with its epoll and its clients, and the round of a worker's loop around it. */

#include <criterion/criterion.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "greetd/base/clock.h"
#include "greetd/worker/acceptor.h"
#include "greetd/worker/context.h"
#include "support/net.h"
#include "support/snapshot_fixture.h"

#define ACCEPTOR_FIXTURE_START ((uint64_t)1000000000)

/* How many are taken from one queue before others have their turn. */
#define ACCEPTOR_FIXTURE_BATCH 16

struct acceptor_fixture {
    struct snapshot_fixture snapshot_fixture;
    struct worker_shared shared;
    struct worker_context context;
    struct clients clients;
    struct acceptor acceptor;
};

static inline void acceptor_fixture_open(struct acceptor_fixture *a, size_t n_bindings,
                                         size_t capacity)
{
    snapshot_fixture_open(&a->snapshot_fixture, n_bindings);
    a->shared = (struct worker_shared){
        .max_connections = capacity,
        .changed_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
        .look_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
    };
    cr_assert_eq(metrics_new(&a->shared.metrics, 1), 0);
    a->context = (struct worker_context){
        .shared = &a->shared,
        .epoll_fd = epoll_create1(EPOLL_CLOEXEC),
        .counters = a->shared.metrics->workers,
    };
    cr_assert_eq(clients_init(&a->clients, capacity,
                              snapshot_fixture_generation(&a->snapshot_fixture, a->shared.metrics),
                              &a->context),
                 0);
    acceptor_init(&a->acceptor, &a->clients, &a->context);
    cr_assert_eq(acceptor_start(&a->acceptor), 0);
}

static inline void acceptor_fixture_close(struct acceptor_fixture *a)
{
    clients_close_all(&a->clients, ACCEPTOR_FIXTURE_START);
    clients_deinit(&a->clients);
    buffer_deinit(&a->context.rendered);
    metrics_free(a->shared.metrics);
    close(a->shared.changed_fd);
    close(a->shared.look_fd);
    snapshot_fixture_close(&a->snapshot_fixture);
}

/* Stops, and leaves those who are in the queues to the next process. */
static inline void acceptor_fixture_stop_handed_on(struct acceptor_fixture *a)
{
    snapshot_fixture_hand_on(&a->snapshot_fixture);
    acceptor_stop(&a->acceptor);
}

/* Hands on what epoll has to say now. Returns how many listening sockets it spoke of. */
static inline int acceptor_fixture_dispatch(struct acceptor_fixture *a, uint64_t now_usec)
{
    struct epoll_event events[16];
    int n = epoll_wait(a->context.epoll_fd, events, 16, 0), announced = 0;

    for (int i = 0; i < n; i++) {
        size_t index = event_index(events[i].data.u64);

        if (event_kind(events[i].data.u64) == EVENT_LISTENER) {
            acceptor_mark_ready(&a->acceptor, index);
            announced++;
        } else {
            clients_step(&a->clients, index, now_usec);
        }
    }
    return announced;
}

/* One round of the worker's loop. */
static inline int acceptor_fixture_run_once(struct acceptor_fixture *a, uint64_t now_usec)
{
    acceptor_fixture_dispatch(a, now_usec);
    clients_expire(&a->clients, now_usec);
    return acceptor_run(&a->acceptor, now_usec);
}

/* Whether some of the queues are left alone until later. */
static inline bool acceptor_fixture_is_paused(const struct acceptor_fixture *a)
{
    return a->acceptor.resume_usec != USEC_INFINITY;
}

/* How often other workers were asked to look since the last time. */
static inline eventfd_t acceptor_fixture_n_look_requests(const struct acceptor_fixture *a)
{
    eventfd_t n = 0;

    return eventfd_read(a->shared.look_fd, &n) == 0 ? n : 0;
}

/* Has N clients come to the first endpoint. */
static inline void acceptor_fixture_connect(const struct acceptor_fixture *a, size_t n)
{
    for (size_t i = 0; i < n; i++)
        snapshot_fixture_connect(&a->snapshot_fixture, 0);
}

/* The table is full of one client that is still being greeted. */
static inline int acceptor_fixture_fill(struct acceptor_fixture *a, size_t n_bindings)
{
    acceptor_fixture_open(a, n_bindings, 1);
    snapshot_fixture_make_huge(&a->snapshot_fixture, 0);
    int client = snapshot_fixture_connect(&a->snapshot_fixture, 0);
    cr_assert_eq(acceptor_fixture_run_once(a, ACCEPTOR_FIXTURE_START), 0);
    cr_assert_eq(a->clients.n, 1);
    return client;
}
