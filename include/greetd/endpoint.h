/* SPDX-License-Identifier: MIT */
#pragma once

/* What a worker's floors share: where clients come from, and what an epoll event is about. */

#include <stddef.h>
#include <stdint.h>

#include "greetd/config.h"
#include "greetd/listener.h"

/* A listening socket and how its clients are greeted; both borrowed. */
struct endpoint {
    struct listener *listener;
    const struct config_listener *config;
};

/* All of them; the same for every worker. */
struct endpoints {
    struct endpoint *at;
    size_t n;
};

enum endpoint_source { SOURCE_MAILBOX, SOURCE_LISTENER, SOURCE_CLIENT };

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
