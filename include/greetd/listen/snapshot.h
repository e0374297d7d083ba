/* SPDX-License-Identifier: MIT */
#pragma once

/* A configuration with the listening sockets it applies to. Immutable once it is complete. Each
 * user holds a reference; the last one frees the snapshot, from any thread. */

#include <stdbool.h>
#include <stddef.h>

#include "greetd/base/cleanup.h"
#include "greetd/base/refcount.h"
#include "greetd/config/config.h"
#include "greetd/net/listener.h"

/* A listening socket and the greeting of its clients. */
struct binding {
    struct listener *listener;            /* a reference */
    const struct config_listener *config; /* of the snapshot's configuration */
};

struct snapshot {
    struct refcount references;
    struct config *config; /* a reference; NULL in tests */
    size_t n, capacity;
    struct binding bindings[];
};

/* Makes room for CAPACITY bindings of CONFIG, of which a reference is kept. On success *RET is the
 * caller's reference. Errors: -ENOMEM. */
int snapshot_new(struct snapshot **ret, struct config *config, size_t capacity);

/* Adds a binding, for which there must be room. Keeps a reference to LISTENER; NULL if its socket
 * is not open yet. */
void snapshot_add(struct snapshot *snapshot, struct listener *listener,
                  const struct config_listener *config);

struct snapshot *snapshot_ref(struct snapshot *snapshot);
void snapshot_unref(struct snapshot *snapshot); /* NULL is allowed */
DEFINE_CLEANUP_FUNCTION(struct snapshot, snapshot_unref)

/* Whether a binding has LISTENER. */
bool snapshot_has(const struct snapshot *snapshot, const struct listener *listener);

/* Returns the name in the log and in the metrics: that of the socket, if systemd has passed it,
 * else that of the section. Borrowed from the binding. */
const char *binding_name(const struct binding *binding);
