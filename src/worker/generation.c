/* SPDX-License-Identifier: MIT */
#include "greetd/worker/generation.h"

#include <errno.h>
#include <sys/socket.h>

static bool has_fast_open(const struct snapshot *snapshot)
{
    return snapshot->config && config_server(snapshot->config)->fast_open;
}

static int init_listener(struct wl *wl, const struct binding *binding, struct metrics *metrics,
                         unsigned worker, bool fast_open)
{
    struct metrics_listener *counted = metrics_listener(metrics, binding_name(binding));

    if (!counted)
        return -ENOMEM;
    wl->listener = binding->listener;
    wl->counters = &counted->workers[worker];
    wl->settings = (struct conn_settings){
        .greeting = binding->config->greeting,
        .listener = counted->name,
        .linger_usec = binding->config->settings.linger_usec,
        .write_timeout_usec = binding->config->settings.write_timeout_usec,
        .data_timeout_usec = binding->config->settings.data_timeout_usec,
        .greet_on_data = binding->config->settings.greet_on == GREET_ON_DATA,
        .records = binding->listener->type == SOCK_SEQPACKET,
        .fast_open = fast_open,
    };
    timeout_queue_init(&wl->expecting);
    timeout_queue_init(&wl->writing);
    timeout_queue_init(&wl->acknowledging);
    timeout_queue_init(&wl->lingering);
    wl->open = true;
    return 0;
}

int generation_new(struct generation **ret, struct snapshot *snapshot, struct metrics *metrics,
                   unsigned worker)
{
    _cleanup_(generation_freep) struct generation *generation =
        calloc(1, sizeof(*generation) + snapshot->n * sizeof(struct wl));

    if (!generation)
        return -ENOMEM;
    generation->snapshot = snapshot_ref(snapshot);
    generation->n_listeners = snapshot->n;
    for (size_t i = 0; i < snapshot->n; i++) {
        generation->listeners[i].generation = generation;
        int r = init_listener(&generation->listeners[i], &snapshot->bindings[i], metrics, worker,
                              has_fast_open(snapshot));
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
