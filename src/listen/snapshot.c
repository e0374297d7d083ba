/* SPDX-License-Identifier: MIT */
#include "greetd/listen/snapshot.h"

#include <assert.h>
#include <errno.h>

int snapshot_new(struct snapshot **ret, struct config *config, size_t capacity)
{
    struct snapshot *snapshot =
        calloc(1, sizeof(*snapshot) + capacity * sizeof(snapshot->bindings[0]));

    if (!snapshot)
        return -ENOMEM;
    refcount_init(&snapshot->references);
    snapshot->config = config ? config_ref(config) : NULL;
    snapshot->capacity = capacity;
    *ret = snapshot;
    return 0;
}

void snapshot_add(struct snapshot *snapshot, struct listener *listener,
                  const struct config_listener *config)
{
    assert(snapshot->n < snapshot->capacity);
    snapshot->bindings[snapshot->n++] = (struct binding){
        .listener = listener ? listener_ref(listener) : NULL, .config = config, .n_shards = 1};
}

void snapshot_join_shards(struct snapshot *snapshot, size_t index, bool spread)
{
    for (size_t i = index; i < snapshot->n; i++) {
        snapshot->bindings[i].shard = (unsigned)(i - index);
        snapshot->bindings[i].n_shards = (unsigned)(snapshot->n - index);
        snapshot->bindings[i].spread = spread;
    }
}

struct snapshot *snapshot_ref(struct snapshot *snapshot)
{
    refcount_take(&snapshot->references);
    return snapshot;
}

void snapshot_unref(struct snapshot *snapshot)
{
    if (!snapshot || !refcount_drop(&snapshot->references))
        return;
    for (size_t i = 0; i < snapshot->n; i++)
        listener_unref(snapshot->bindings[i].listener);
    config_unref(snapshot->config);
    free(snapshot);
}

bool snapshot_has(const struct snapshot *snapshot, const struct listener *listener)
{
    for (size_t i = 0; i < snapshot->n; i++)
        if (snapshot->bindings[i].listener == listener)
            return true;
    return false;
}

bool binding_is_for(const struct binding *binding, size_t worker, size_t n_workers)
{
    /* With more shards than workers the left side is a worker, with fewer the right side a shard.
     */
    return !binding->spread || binding->shard % n_workers == worker % binding->n_shards;
}

const char *binding_name(const struct binding *binding)
{
    return binding->listener->name ? binding->listener->name : binding->config->name;
}
