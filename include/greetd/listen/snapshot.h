/* SPDX-License-Identifier: MIT */
#pragma once

/* Where clients come from and how they are greeted: a snapshot of the configuration with the
 * listening sockets it applies to. Immutable once it is complete; whoever keeps it holds a
 * reference, and the last one to let go frees it, from any thread. */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "greetd/base/cleanup.h"
#include "greetd/config/config.h"
#include "greetd/net/listener.h"

/* A listening socket and how its clients are greeted. */
struct endpoint {
    struct listener *listener;            /* a reference */
    const struct config_listener *config; /* of the snapshot */
};

/* All of them. */
struct endpoints {
    atomic_size_t references;
    struct config *config; /* a reference; NULL in tests that have none */
    size_t n, capacity;
    struct endpoint at[];
};

/* Makes room for CAPACITY endpoints of CONFIG, of which a reference is kept. On success *RET is the
 * caller's reference. Errors: -ENOMEM. */
int endpoints_new(struct endpoints **ret, struct config *config, size_t capacity);

/* Adds one; there must be room. Keeps a reference of LISTENER. */
void endpoints_add(struct endpoints *endpoints, struct listener *listener,
                   const struct config_listener *config);

struct endpoints *endpoints_ref(struct endpoints *endpoints);
void endpoints_unref(struct endpoints *endpoints); /* NULL is allowed */
DEFINE_CLEANUP_FUNCTION(struct endpoints, endpoints_unref)

/* Whether LISTENER is one of them. */
bool endpoints_have(const struct endpoints *endpoints, const struct listener *listener);

/* What the log and the metrics call it: the name that systemd passed, or that of the section.
 * Borrowed from the endpoint. */
const char *endpoint_name(const struct endpoint *endpoint);

/* What an epoll event of a worker is about. */
enum endpoint_source { SOURCE_MAILBOX, SOURCE_LOOK, SOURCE_LISTENER, SOURCE_CLIENT };

/* For epoll_data.u64: the kind of source, and which one of it. */
static inline uint64_t source_pack(enum endpoint_source source, size_t index)
{
    return (uint64_t)source << 32 | (uint32_t)index;
}

static inline enum endpoint_source source_kind(uint64_t packed)
{
    return (enum endpoint_source)(packed >> 32);
}

static inline size_t source_index(uint64_t packed)
{
    return (uint32_t)packed;
}
