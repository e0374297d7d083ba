/* SPDX-License-Identifier: MIT */
#pragma once

/* The tag of each descriptor in a worker's epoll: which kind of source it is, and which one. */

#include <stddef.h>
#include <stdint.h>

enum event_kind {
    EVENT_MAILBOX,  /* the worker has a message */
    EVENT_LOOK,     /* another worker asks to look into the queues again */
    EVENT_LISTENER, /* a client may be in a queue; the index is that of the listener */
    EVENT_CLIENT,   /* the index is that of the client in the table */
};

/* Makes the epoll_data.u64 of a source. */
static inline uint64_t event_pack(enum event_kind kind, size_t index)
{
    return (uint64_t)kind << 32 | (uint32_t)index;
}

static inline enum event_kind event_kind(uint64_t packed)
{
    return (enum event_kind)(packed >> 32);
}

static inline size_t event_index(uint64_t packed)
{
    return (uint32_t)packed;
}
