/* SPDX-License-Identifier: MIT */
#pragma once

/* Endpoints on the loopback interface, with a greeting for each, for the tests of those floors that
 * accept clients. */

#include <criterion/criterion.h>
#include <string.h>

#include "greetd/listen/snapshot.h"
#include "greetd/worker/generation.h"
#include "support/net.h"

#define SNAPSHOT_FIXTURE_HELLO "Hello from server!"

/* More than the kernel takes for a client that does not read. */
#define SNAPSHOT_FIXTURE_HUGE ((size_t)12 * 1024 * 1024)

#define SNAPSHOT_FIXTURE_SECOND ((uint64_t)1000000)

#define SNAPSHOT_FIXTURE_ENDPOINTS_MAX 3

struct snapshot_fixture {
    struct snapshot *snapshot;
    struct listener listeners[SNAPSHOT_FIXTURE_ENDPOINTS_MAX];
    struct config_listener configs[SNAPSHOT_FIXTURE_ENDPOINTS_MAX];
    struct greeting greetings[SNAPSHOT_FIXTURE_ENDPOINTS_MAX];
    struct sockaddr_in addresses[SNAPSHOT_FIXTURE_ENDPOINTS_MAX];
};

/* Opens N endpoints that say hello, with LingerSec=2 and WriteTimeoutSec=30. */
static inline void snapshot_fixture_open(struct snapshot_fixture *snapshot_fixture, size_t n)
{
    *snapshot_fixture = (struct snapshot_fixture){.snapshot = NULL};
    cr_assert_eq(snapshot_new(&snapshot_fixture->snapshot, NULL, n), 0);
    for (size_t i = 0; i < n; i++) {
        snapshot_fixture->greetings[i] = (struct greeting){.bytes = (char *)SNAPSHOT_FIXTURE_HELLO,
                                                           .size = strlen(SNAPSHOT_FIXTURE_HELLO)};
        snapshot_fixture->configs[i] = (struct config_listener){
            .name = "server",
            .settings = {.linger_usec = 2 * SNAPSHOT_FIXTURE_SECOND,
                         .write_timeout_usec = 30 * SNAPSHOT_FIXTURE_SECOND},
            .greeting = &snapshot_fixture->greetings[i],
        };
        snapshot_fixture->listeners[i] = (struct listener){
            .references = {1},
            .fd = net_listen(&snapshot_fixture->addresses[i]),
            .type = SOCK_STREAM,
        };
        snapshot_add(snapshot_fixture->snapshot, &snapshot_fixture->listeners[i],
                     &snapshot_fixture->configs[i]);
    }
}

/* As though the next process had the sockets too. */
static inline void snapshot_fixture_hand_on(struct snapshot_fixture *snapshot_fixture)
{
    for (size_t i = 0; i < snapshot_fixture->snapshot->n; i++)
        snapshot_fixture->listeners[i].handed_on = true;
}

/* What the only worker serves; the caller's. */
static inline struct generation *
snapshot_fixture_generation(const struct snapshot_fixture *snapshot_fixture,
                            struct metrics *metrics)
{
    struct generation *generation;

    cr_assert_eq(generation_new(&generation, snapshot_fixture->snapshot, metrics, 0), 0);
    for (size_t i = 0; i < snapshot_fixture->snapshot->n; i++)
        listener_use(snapshot_fixture->snapshot->bindings[i].listener, 1);
    return generation;
}

/* Lets endpoint I say more than anyone takes at once. */
static inline void snapshot_fixture_make_huge(struct snapshot_fixture *snapshot_fixture, size_t i)
{
    snapshot_fixture->greetings[i] =
        (struct greeting){.bytes = calloc(1, SNAPSHOT_FIXTURE_HUGE), .size = SNAPSHOT_FIXTURE_HUGE};
    cr_assert(snapshot_fixture->greetings[i].bytes);
}

static inline void snapshot_fixture_close(struct snapshot_fixture *snapshot_fixture)
{
    for (size_t i = 0; i < snapshot_fixture->snapshot->n; i++) {
        if (snapshot_fixture->greetings[i].size == SNAPSHOT_FIXTURE_HUGE)
            free(snapshot_fixture->greetings[i].bytes);
        if (snapshot_fixture->listeners[i].fd >= 0)
            close(snapshot_fixture->listeners[i].fd);
    }
    snapshot_unref(snapshot_fixture->snapshot);
}

/* Connects to endpoint I and waits until the client is in its queue. */
static inline int snapshot_fixture_connect(const struct snapshot_fixture *snapshot_fixture,
                                           size_t i)
{
    int fd = net_connect(&snapshot_fixture->addresses[i]);

    net_wait(snapshot_fixture->listeners[i].fd, POLLIN);
    return fd;
}

/* Reads to the end what endpoint I says, and closes. */
static inline void snapshot_fixture_read_hello(int client)
{
    char text[64];

    cr_assert_eq(net_read_to_end(client, text, sizeof(text)),
                 (ssize_t)strlen(SNAPSHOT_FIXTURE_HELLO));
    cr_assert_arr_eq(text, SNAPSHOT_FIXTURE_HELLO, strlen(SNAPSHOT_FIXTURE_HELLO));
    close(client);
}
