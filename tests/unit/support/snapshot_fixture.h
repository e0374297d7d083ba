/* SPDX-License-Identifier: MIT */
#pragma once

/* A snapshot of listeners on the loopback interface, each with its own greeting, for the tests of
 * the modules that accept clients. */

#include <criterion/criterion.h>
#include <string.h>

#include "greetd/listen/snapshot.h"
#include "greetd/worker/generation.h"
#include "support/net.h"

#define SNAPSHOT_FIXTURE_HELLO "Hello from server!"

/* More than the kernel takes for a client that does not read. */
#define SNAPSHOT_FIXTURE_HUGE ((size_t)12 * 1024 * 1024)

#define SNAPSHOT_FIXTURE_SECOND ((uint64_t)1000000)

#define SNAPSHOT_FIXTURE_BINDINGS_MAX 3

struct snapshot_fixture {
    struct snapshot *snapshot;
    struct listener listeners[SNAPSHOT_FIXTURE_BINDINGS_MAX];
    struct config_listener configs[SNAPSHOT_FIXTURE_BINDINGS_MAX];
    struct greeting greetings[SNAPSHOT_FIXTURE_BINDINGS_MAX];
    struct sockaddr_in addresses[SNAPSHOT_FIXTURE_BINDINGS_MAX];
};

/* Opens N listeners with the same greeting, LingerSec=2 and WriteTimeoutSec=30. */
static inline void snapshot_fixture_open(struct snapshot_fixture *fixture, size_t n)
{
    *fixture = (struct snapshot_fixture){.snapshot = NULL};
    cr_assert_eq(snapshot_new(&fixture->snapshot, NULL, n), 0);
    for (size_t i = 0; i < n; i++) {
        fixture->greetings[i] = (struct greeting){.bytes = (char *)SNAPSHOT_FIXTURE_HELLO,
                                                  .size = strlen(SNAPSHOT_FIXTURE_HELLO)};
        fixture->configs[i] = (struct config_listener){
            .name = "server",
            .settings = {.linger_usec = 2 * SNAPSHOT_FIXTURE_SECOND,
                         .write_timeout_usec = 30 * SNAPSHOT_FIXTURE_SECOND,
                         .log_connections = true},
            .greeting = &fixture->greetings[i],
            .log_silent = true,
        };
        fixture->listeners[i] = (struct listener){
            .references = {1},
            .fd = net_listen(&fixture->addresses[i]),
            .type = SOCK_STREAM,
        };
        snapshot_add(fixture->snapshot, &fixture->listeners[i], &fixture->configs[i]);
    }
}

/* Marks the sockets as handed on to the next process. */
static inline void snapshot_fixture_hand_on(struct snapshot_fixture *fixture)
{
    for (size_t i = 0; i < fixture->snapshot->n; i++)
        fixture->listeners[i].handed_on = true;
}

/* Returns a generation of the snapshot for the only worker; the caller owns it. */
static inline struct generation *snapshot_fixture_generation(const struct snapshot_fixture *fixture,
                                                             struct metrics *metrics)
{
    struct generation *generation;

    cr_assert_eq(generation_new(&generation, fixture->snapshot, metrics, 0), 0);
    for (size_t i = 0; i < fixture->snapshot->n; i++)
        listener_use(fixture->snapshot->bindings[i].listener, 1);
    return generation;
}

/* Gives listener I a greeting that the kernel does not take at once. */
static inline void snapshot_fixture_make_huge(struct snapshot_fixture *fixture, size_t i)
{
    fixture->greetings[i] =
        (struct greeting){.bytes = calloc(1, SNAPSHOT_FIXTURE_HUGE), .size = SNAPSHOT_FIXTURE_HUGE};
    cr_assert(fixture->greetings[i].bytes);
}

static inline void snapshot_fixture_close(struct snapshot_fixture *fixture)
{
    for (size_t i = 0; i < fixture->snapshot->n; i++) {
        if (fixture->greetings[i].size == SNAPSHOT_FIXTURE_HUGE)
            free(fixture->greetings[i].bytes);
        if (fixture->listeners[i].fd >= 0)
            close(fixture->listeners[i].fd);
    }
    snapshot_unref(fixture->snapshot);
}

/* Connects a client to listener I and waits until it is in the queue. */
static inline int snapshot_fixture_connect(const struct snapshot_fixture *fixture, size_t i)
{
    int fd = net_connect(&fixture->addresses[i]);

    net_wait(fixture->listeners[i].fd, POLLIN);
    return fd;
}

/* Reads the greeting to its end and closes the client. */
static inline void snapshot_fixture_read_hello(int client)
{
    net_expect_text(client, SNAPSHOT_FIXTURE_HELLO);
    close(client);
}
