/* SPDX-License-Identifier: MIT */
#include "greetd/listen/snapshot.h"

#include <assert.h>
#include <errno.h>

int endpoints_new(struct endpoints **ret, struct config *config, size_t capacity)
{
    struct endpoints *endpoints =
        calloc(1, sizeof(*endpoints) + capacity * sizeof(endpoints->at[0]));

    if (!endpoints)
        return -ENOMEM;
    atomic_init(&endpoints->references, 1);
    endpoints->config = config ? config_ref(config) : NULL;
    endpoints->capacity = capacity;
    *ret = endpoints;
    return 0;
}

void endpoints_add(struct endpoints *endpoints, struct listener *listener,
                   const struct config_listener *config)
{
    assert(endpoints->n < endpoints->capacity);
    endpoints->at[endpoints->n++] =
        (struct endpoint){.listener = listener_ref(listener), .config = config};
}

struct endpoints *endpoints_ref(struct endpoints *endpoints)
{
    /* Relaxed: who takes a reference has one already. */
    atomic_fetch_add_explicit(&endpoints->references, 1, memory_order_relaxed);
    return endpoints;
}

void endpoints_unref(struct endpoints *endpoints)
{
    /* Release and acquire, so that they are freed only after all others are done with them. */
    if (!endpoints ||
        atomic_fetch_sub_explicit(&endpoints->references, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < endpoints->n; i++)
        listener_unref(endpoints->at[i].listener);
    config_unref(endpoints->config);
    free(endpoints);
}

bool endpoints_have(const struct endpoints *endpoints, const struct listener *listener)
{
    for (size_t i = 0; i < endpoints->n; i++)
        if (endpoints->at[i].listener == listener)
            return true;
    return false;
}

const char *endpoint_name(const struct endpoint *endpoint)
{
    return endpoint->listener->name ? endpoint->listener->name : endpoint->config->name;
}
