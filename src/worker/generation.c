/* SPDX-License-Identifier: MIT */
#include "greetd/worker/generation.h"

#include <errno.h>

#include "greetd/net/socket.h"

int worker_greeting_new(struct worker_greeting **ret, size_t index, struct greeting *text)
{
    struct worker_greeting *greeting = malloc(sizeof(*greeting));

    if (!greeting)
        return -ENOMEM;
    *greeting = (struct worker_greeting){.index = index, .text = greeting_ref(text)};
    *ret = greeting;
    return 0;
}

static void greeting_end(struct worker_greeting *greeting)
{
    const struct worker_listener *wl = greeting->listener;

    if (greeting->n_clients > 0 || greeting == &wl->configured || greeting == &wl->refusal)
        return;
    greeting_unref(greeting->text);
    free(greeting);
}

void worker_greeting_drop(struct worker_greeting *greeting)
{
    greeting->n_clients--;
    if (greeting != greeting->listener->greeting)
        greeting_end(greeting);
}

void worker_greeting_free_list(struct worker_greeting *greetings)
{
    while (greetings) {
        struct worker_greeting *next = greetings->next;

        greeting_unref(greetings->text);
        free(greetings);
        greetings = next;
    }
}

void generation_replace_greetings(struct generation *generation, struct worker_greeting *greetings)
{
    for (struct worker_greeting *next; greetings; greetings = next) {
        struct worker_listener *wl = &generation->listeners[greetings->index];
        struct worker_greeting *replaced = wl->greeting;

        next = greetings->next;
        greetings->listener = wl;
        wl->greeting = greetings;
        greeting_end(replaced);
    }
}

static int init_listener(struct worker_listener *wl, struct generation *generation,
                         const struct binding *binding, struct metrics *metrics, unsigned index)
{
    const struct config *config = generation->snapshot->config;
    struct metrics_listener *counted = metrics_listener(metrics, binding_name(binding));

    if (!counted)
        return -ENOMEM;
    wl->generation = generation;
    wl->binding = binding;
    wl->listener = binding->listener;
    wl->config = binding->config;
    wl->name = counted->name;
    wl->counters = &counted->workers[index];
    wl->wildcard = address_is_wildcard(&wl->listener->address);
    wl->configured = (struct worker_greeting){.listener = wl, .text = binding->config->greeting};
    wl->greeting = &wl->configured;
    wl->refusal = (struct worker_greeting){.listener = wl, .text = binding->config->refuse};
    wl->fast_open = config && config_server(config)->fast_open;
    timeout_queue_init(&wl->expecting);
    timeout_queue_init(&wl->writing);
    timeout_queue_init(&wl->dripping);
    timeout_queue_init(&wl->acknowledging);
    timeout_queue_init(&wl->lingering);
    timeout_queue_init(&wl->refused);
    wl->open = true;
    return 0;
}

/* Adds the bindings that are for the worker. */
static int add_listeners(struct generation *generation, struct metrics *metrics, unsigned index)
{
    const struct snapshot *snapshot = generation->snapshot;

    for (size_t i = 0; i < snapshot->n; i++) {
        const struct binding *binding = &snapshot->bindings[i];
        struct worker_listener *wl = &generation->listeners[generation->n_listeners];

        generation->n_addresses += binding->shard == 0;
        if (!binding_is_for(binding, index, metrics->n))
            continue;
        int r = init_listener(wl, generation, binding, metrics, index);
        if (r < 0)
            return r;
        generation->n_listeners++;
    }
    return 0;
}

static size_t count_bindings(const struct snapshot *snapshot, unsigned index, size_t n_workers)
{
    size_t n = 0;

    for (size_t i = 0; i < snapshot->n; i++)
        n += binding_is_for(&snapshot->bindings[i], index, n_workers);
    return n;
}

int generation_new(struct generation **ret, struct snapshot *snapshot, struct metrics *metrics,
                   unsigned index)
{
    size_t n = count_bindings(snapshot, index, metrics->n);
    _cleanup_(generation_freep) struct generation *generation =
        calloc(1, sizeof(*generation) + n * sizeof(struct worker_listener));

    if (!generation)
        return -ENOMEM;
    generation->snapshot = snapshot_ref(snapshot);
    int r = add_listeners(generation, metrics, index);
    if (r >= 0)
        *ret = TAKE_PTR(generation);
    return r;
}

void generation_free(struct generation *generation)
{
    if (!generation)
        return;
    for (size_t i = 0; i < generation->n_listeners; i++)
        greeting_end(generation->listeners[i].greeting);
    snapshot_unref(generation->snapshot);
    free(generation);
}

void generation_free_all(struct generation *newest)
{
    for (struct generation *generation = newest, *older; generation; generation = older) {
        older = generation->older;
        generation_free(generation);
    }
}

bool worker_listener_has_clients(const struct worker_listener *wl)
{
    const struct generation *generation = wl->generation;
    const struct binding *first = binding_first_shard(wl->binding);

    for (size_t i = 0; i < generation->n_listeners; i++) {
        const struct worker_listener *other = &generation->listeners[i];

        if (other->n_clients > 0 && binding_first_shard(other->binding) == first)
            return true;
    }
    return false;
}

static bool accepts_from(const struct generation *generation, const struct listener *listener)
{
    for (size_t i = 0; i < generation->n_listeners; i++)
        if (generation->listeners[i].listener == listener)
            return true;
    return false;
}

bool generation_leaves_client(const struct generation *generation, const struct listener *listener)
{
    return !accepts_from(generation, listener) && socket_is_readable(listener->fd);
}

bool generation_in_use(const struct generation *generation)
{
    for (size_t i = 0; i < generation->n_listeners; i++)
        if (generation->listeners[i].open || generation->listeners[i].n_clients > 0)
            return true;
    return false;
}

void generation_free_unused(struct generation *newest)
{
    struct generation **link = &newest->older, *generation;

    while ((generation = *link)) {
        if (generation_in_use(generation)) {
            link = &generation->older;
        } else {
            *link = generation->older;
            generation_free(generation);
        }
    }
}
