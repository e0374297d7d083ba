/* SPDX-License-Identifier: MIT */
#include "greetd/worker/generation.h"

#include <errno.h>

static int init_listener(struct worker_listener *wl, struct generation *generation,
                         const struct binding *binding, struct metrics *metrics, unsigned index)
{
    const struct config *config = generation->snapshot->config;
    struct metrics_listener *counted = metrics_listener(metrics, binding_name(binding));

    if (!counted)
        return -ENOMEM;
    wl->generation = generation;
    wl->listener = binding->listener;
    wl->config = binding->config;
    wl->name = counted->name;
    wl->counters = &counted->workers[index];
    wl->fast_open = config && config_server(config)->fast_open;
    timeout_queue_init(&wl->expecting);
    timeout_queue_init(&wl->writing);
    timeout_queue_init(&wl->acknowledging);
    timeout_queue_init(&wl->lingering);
    wl->open = true;
    return 0;
}

int generation_new(struct generation **ret, struct snapshot *snapshot, struct metrics *metrics,
                   unsigned index)
{
    _cleanup_(generation_freep) struct generation *generation =
        calloc(1, sizeof(*generation) + snapshot->n * sizeof(struct worker_listener));

    if (!generation)
        return -ENOMEM;
    generation->snapshot = snapshot_ref(snapshot);
    generation->n_listeners = snapshot->n;
    for (size_t i = 0; i < snapshot->n; i++) {
        int r = init_listener(&generation->listeners[i], generation, &snapshot->bindings[i],
                              metrics, index);
        if (r < 0)
            return r;
    }
    *ret = TAKE_PTR(generation);
    return 0;
}

void generation_free(struct generation *generation)
{
    if (!generation)
        return;
    snapshot_unref(generation->snapshot);
    free(generation);
}

bool generation_in_use(const struct generation *generation)
{
    for (size_t i = 0; i < generation->n_listeners; i++)
        if (generation->listeners[i].open || generation->listeners[i].n_clients > 0)
            return true;
    return false;
}
