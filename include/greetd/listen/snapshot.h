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
    /* An address may have several sockets, its shards, each with a queue of its own. Their bindings
     * follow each other. */
    unsigned shard, n_shards; /* which of them this is, and how many there are */
    bool spread; /* each worker accepts from its own shard; else all workers accept from all */
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

/* Makes the bindings from INDEX on, which are those added last, the shards of one address. SPREAD:
 * over the workers. */
void snapshot_join_shards(struct snapshot *snapshot, size_t index, bool spread);

struct snapshot *snapshot_ref(struct snapshot *snapshot);
void snapshot_unref(struct snapshot *snapshot); /* NULL is allowed */
DEFINE_CLEANUP_FUNCTION(struct snapshot, snapshot_unref)

/* Whether a binding has LISTENER. */
bool snapshot_has(const struct snapshot *snapshot, const struct listener *listener);

/* Whether the worker with the index WORKER, of N_WORKERS, accepts from the socket. Each socket has
 * at least one worker, and each worker at least one socket of each address. */
bool binding_is_for(const struct binding *binding, size_t worker, size_t n_workers);

/* Returns the binding of the first shard of the address. */
static inline const struct binding *binding_first_shard(const struct binding *binding)
{
    return binding - binding->shard;
}

/* Returns the binding of the shard that is N behind that of BINDING; the first one is behind the
 * last. */
static inline const struct binding *binding_other_shard(const struct binding *binding, unsigned n)
{
    return binding_first_shard(binding) + (binding->shard + n) % binding->n_shards;
}

/* Returns the name in the log and in the metrics: that of the socket, if systemd has passed it,
 * else that of the section. Borrowed from the binding. */
const char *binding_name(const struct binding *binding);
