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
struct binding {
    struct listener *listener;            /* a reference */
    const struct config_listener *config; /* of the snapshot */
};

/* All of them. */
struct snapshot {
    atomic_size_t references;
    struct config *config; /* a reference; NULL in tests that have none */
    size_t n, capacity;
    struct binding bindings[];
};

/* Makes room for CAPACITY endpoints of CONFIG, of which a reference is kept. On success *RET is the
 * caller's reference. Errors: -ENOMEM. */
int snapshot_new(struct snapshot **ret, struct config *config, size_t capacity);

/* Adds one; there must be room. Keeps a reference of LISTENER. */
void snapshot_add(struct snapshot *snapshot, struct listener *listener,
                  const struct config_listener *config);

struct snapshot *snapshot_ref(struct snapshot *snapshot);
void snapshot_unref(struct snapshot *snapshot); /* NULL is allowed */
DEFINE_CLEANUP_FUNCTION(struct snapshot, snapshot_unref)

/* Whether LISTENER is one of them. */
bool snapshot_has(const struct snapshot *snapshot, const struct listener *listener);

/* What the log and the metrics call it: the name that systemd passed, or that of the section.
 * Borrowed from the endpoint. */
const char *binding_name(const struct binding *binding);
