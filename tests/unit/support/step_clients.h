/* SPDX-License-Identifier: MIT */
#pragma once

/* Steps for the clients that are polled, and for those that epoll reports, where no listening
 * socket is in that epoll. */

#include <criterion/criterion.h>
#include <sys/epoll.h>

#include "greetd/worker/clients.h"
#include "greetd/worker/context.h"
#include "support/net.h"

/* Has the clients that were greeted at SINCE polled as often as they are before that. */
static inline void step_polls(struct clients *clients, uint64_t since_usec)
{
    clients_expire(clients, since_usec + CONN_SOON_USEC);
    clients_expire(clients, since_usec + CONN_AGAIN_USEC);
}

/* Steps the clients that epoll reports within TIMEOUT_MSEC. Returns their number. */
static inline int step_clients(struct clients *clients, uint64_t now_usec, int timeout_msec)
{
    struct epoll_event events[16];
    int n = epoll_wait(clients->context->epoll_fd, events, 16, timeout_msec);

    for (int i = 0; i < n; i++) {
        cr_assert_eq(event_kind(events[i].data.u64), EVENT_CLIENT);
        clients_step(clients, event_index(events[i].data.u64), now_usec);
    }
    return n;
}

/* Waits until epoll reports at least one client, and steps the reported ones. */
static inline void step_ready_clients(struct clients *clients, uint64_t now_usec)
{
    cr_assert_gt(step_clients(clients, now_usec, NET_BOUND_MSEC), 0);
}
