/* SPDX-License-Identifier: MIT */
#pragma once

/* An acceptor with its epoll and its clients, and the round of a worker's loop around it. */

#include <criterion/criterion.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "greetd/worker/acceptor.h"
#include "support/net.h"
#include "support/snapshot_fixture.h"

#define ACCEPTING_START ((uint64_t)1000000000)

/* How many are taken from one queue before others have their turn. */
#define ACCEPTING_BATCH 16

struct accepting {
    struct place place;
    struct clients clients;
    struct acceptor acceptor;
    struct acceptor_shared shared;
};

static inline void accepting_open(struct accepting *a, size_t n_endpoints, size_t capacity)
{
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);

    place_open(&a->place, n_endpoints);
    a->shared = (struct acceptor_shared){
        .max_connections = capacity,
        .changed_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
        .look_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
    };
    cr_assert_eq(metrics_init(&a->shared.metrics, 1), 0);
    const struct clients_worker worker = {
        .n_workers = 1, .epoll_fd = epoll_fd, .counters = a->shared.metrics.workers};
    cr_assert_eq(clients_init(&a->clients, capacity,
                              place_generation(&a->place, &a->shared.metrics), &worker),
                 0);
    acceptor_init(&a->acceptor, epoll_fd, &a->clients, &a->shared);
    cr_assert_eq(acceptor_start(&a->acceptor), 0);
}

static inline void accepting_close(struct accepting *a)
{
    clients_abandon(&a->clients, ACCEPTING_START);
    clients_deinit(&a->clients);
    metrics_deinit(&a->shared.metrics);
    close(a->shared.changed_fd);
    close(a->shared.look_fd);
    place_close(&a->place);
}

/* Stops, and leaves those who are in the queues to the next process. */
static inline void accepting_leave(struct accepting *a)
{
    place_hand_on(&a->place);
    acceptor_stop(&a->acceptor);
}

/* Hands on what epoll has to say now. Returns how many listening sockets it spoke of. */
static inline int accepting_hear(struct accepting *a, uint64_t now_usec)
{
    struct epoll_event events[16];
    int n = epoll_wait(a->acceptor.epoll_fd, events, 16, 0), announced = 0;

    for (int i = 0; i < n; i++) {
        size_t index = source_index(events[i].data.u64);

        if (source_kind(events[i].data.u64) == SOURCE_LISTENER) {
            acceptor_announce(&a->acceptor, index);
            announced++;
        } else {
            clients_step(&a->clients, index, now_usec);
        }
    }
    return announced;
}

/* One round of the worker's loop. */
static inline int accepting_go_round(struct accepting *a, uint64_t now_usec)
{
    accepting_hear(a, now_usec);
    clients_expire(&a->clients, now_usec);
    return acceptor_run(&a->acceptor, now_usec);
}

/* Whether some of the queues are left alone until later. */
static inline bool accepting_is_paused(const struct accepting *a)
{
    return a->acceptor.resume_usec != DEADLINE_NEVER;
}

/* How often other workers were asked to look since the last time. */
static inline eventfd_t accepting_n_asked(const struct accepting *a)
{
    eventfd_t n = 0;

    return eventfd_read(a->shared.look_fd, &n) == 0 ? n : 0;
}

/* Has N clients come to the first endpoint. */
static inline void accepting_connect(const struct accepting *a, size_t n)
{
    for (size_t i = 0; i < n; i++)
        place_connect(&a->place, 0);
}

/* The table is full of one client that is still being greeted. */
static inline int accepting_fill(struct accepting *a, size_t n_endpoints)
{
    accepting_open(a, n_endpoints, 1);
    place_make_huge(&a->place, 0);
    int client = place_connect(&a->place, 0);
    cr_assert_eq(accepting_go_round(a, ACCEPTING_START), 0);
    cr_assert_eq(a->clients.n, 1);
    return client;
}
