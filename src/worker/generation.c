/* SPDX-License-Identifier: MIT */
#include "greetd/worker/generation.h"

#include <errno.h>
#include <sys/socket.h>

static bool has_fast_open(const struct endpoints *endpoints)
{
    return endpoints->config && config_server(endpoints->config)->fast_open;
}

static int init_lane(struct lane *lane, const struct endpoint *endpoint, struct metrics *metrics,
                     unsigned worker, bool fast_open)
{
    struct metrics_listener *counted = metrics_listener(metrics, endpoint_name(endpoint));

    if (!counted)
        return -ENOMEM;
    lane->listener = endpoint->listener;
    lane->counters = &counted->workers[worker];
    lane->terms = (struct conn_terms){
        .greeting = endpoint->config->greeting,
        .listener = counted->name,
        .linger_usec = endpoint->config->settings.linger_usec,
        .write_timeout_usec = endpoint->config->settings.write_timeout_usec,
        .data_timeout_usec = endpoint->config->settings.data_timeout_usec,
        .expects_data = endpoint->config->settings.greet_on == GREET_ON_DATA,
        .records = endpoint->listener->type == SOCK_SEQPACKET,
        .fast_open = fast_open,
    };
    deadline_fifo_init(&lane->expecting);
    deadline_fifo_init(&lane->writing);
    deadline_fifo_init(&lane->acknowledging);
    deadline_fifo_init(&lane->lingering);
    lane->open = true;
    return 0;
}

int generation_new(struct generation **ret, struct endpoints *endpoints, struct metrics *metrics,
                   unsigned worker)
{
    _cleanup_(generation_freep) struct generation *generation =
        calloc(1, sizeof(*generation) + endpoints->n * sizeof(struct lane));

    if (!generation)
        return -ENOMEM;
    generation->endpoints = endpoints_ref(endpoints);
    generation->n_lanes = endpoints->n;
    for (size_t i = 0; i < endpoints->n; i++) {
        generation->lanes[i].generation = generation;
        int r = init_lane(&generation->lanes[i], &endpoints->at[i], metrics, worker,
                          has_fast_open(endpoints));
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
    endpoints_unref(generation->endpoints);
    free(generation);
}

bool generation_in_use(const struct generation *generation)
{
    for (size_t i = 0; i < generation->n_lanes; i++)
        if (generation->lanes[i].open || generation->lanes[i].n_clients > 0)
            return true;
    return false;
}
