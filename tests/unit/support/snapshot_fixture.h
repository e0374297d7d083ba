/* SPDX-License-Identifier: MIT */
#pragma once

/* Endpoints on the loopback interface, with a greeting for each, for the tests of those floors that
 * accept clients. */

#include <criterion/criterion.h>
#include <string.h>

#include "greetd/listen/snapshot.h"
#include "greetd/worker/generation.h"
#include "support/net.h"

#define PLACE_HELLO "Hello from server!"

/* More than the kernel takes for a client that does not read. */
#define PLACE_HUGE ((size_t)12 * 1024 * 1024)

#define PLACE_SECOND ((uint64_t)1000000)

#define PLACE_ENDPOINTS_MAX 3

struct place {
    struct endpoints *endpoints;
    struct listener listeners[PLACE_ENDPOINTS_MAX];
    struct config_listener configs[PLACE_ENDPOINTS_MAX];
    struct greeting greetings[PLACE_ENDPOINTS_MAX];
    struct sockaddr_in addresses[PLACE_ENDPOINTS_MAX];
};

/* Opens N endpoints that say hello, with LingerSec=2 and WriteTimeoutSec=30. */
static inline void place_open(struct place *place, size_t n)
{
    *place = (struct place){.endpoints = NULL};
    cr_assert_eq(endpoints_new(&place->endpoints, NULL, n), 0);
    for (size_t i = 0; i < n; i++) {
        place->greetings[i] =
            (struct greeting){.bytes = (char *)PLACE_HELLO, .size = strlen(PLACE_HELLO)};
        place->configs[i] = (struct config_listener){
            .name = "server",
            .settings = {.linger_usec = 2 * PLACE_SECOND, .write_timeout_usec = 30 * PLACE_SECOND},
            .greeting = &place->greetings[i],
        };
        place->listeners[i] = (struct listener){
            .references = 1,
            .fd = net_listen(&place->addresses[i]),
            .type = SOCK_STREAM,
        };
        endpoints_add(place->endpoints, &place->listeners[i], &place->configs[i]);
    }
}

/* As though the next process had the sockets too. */
static inline void place_hand_on(struct place *place)
{
    for (size_t i = 0; i < place->endpoints->n; i++)
        place->listeners[i].handed_on = true;
}

/* What the only worker serves; the caller's. */
static inline struct generation *place_generation(const struct place *place,
                                                  struct metrics *metrics)
{
    struct generation *generation;

    cr_assert_eq(generation_new(&generation, place->endpoints, metrics, 0), 0);
    for (size_t i = 0; i < place->endpoints->n; i++)
        listener_use(place->endpoints->at[i].listener, 1);
    return generation;
}

/* Lets endpoint I say more than anyone takes at once. */
static inline void place_make_huge(struct place *place, size_t i)
{
    place->greetings[i] = (struct greeting){.bytes = calloc(1, PLACE_HUGE), .size = PLACE_HUGE};
    cr_assert(place->greetings[i].bytes);
}

static inline void place_close(struct place *place)
{
    for (size_t i = 0; i < place->endpoints->n; i++) {
        if (place->greetings[i].size == PLACE_HUGE)
            free(place->greetings[i].bytes);
        if (place->listeners[i].fd >= 0)
            close(place->listeners[i].fd);
    }
    endpoints_unref(place->endpoints);
}

/* Connects to endpoint I and waits until the client is in its queue. */
static inline int place_connect(const struct place *place, size_t i)
{
    int fd = net_connect(&place->addresses[i]);

    net_wait(place->listeners[i].fd, POLLIN);
    return fd;
}

/* Reads to the end what endpoint I says, and closes. */
static inline void place_read_hello(int client)
{
    char text[64];

    cr_assert_eq(net_read_to_end(client, text, sizeof(text)), (ssize_t)strlen(PLACE_HELLO));
    cr_assert_arr_eq(text, PLACE_HELLO, strlen(PLACE_HELLO));
    close(client);
}
