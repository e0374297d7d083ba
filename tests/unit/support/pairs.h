/* SPDX-License-Identifier: MIT */
#pragma once

/* Connections as both sides see them. Times are in milliseconds since NOON. */

#include <criterion/criterion.h>

#include "reconcile/join.h"

#define NOON UINT64_C(1795694400000000)

static inline uint64_t noon(int64_t msec)
{
    return NOON + (uint64_t)(msec * 1000);
}

/* A connection from HOST and PORT (the pid of a Unix socket) that the client saw END. */
static inline struct pair pair_of(const char *host, uint32_t port, int64_t connect_msec,
                                  int64_t end_msec, enum outcome end)
{
    return (struct pair){.receipt = {.client = receipt_peer(host, port, port),
                                     .bytes = end == OUTCOME_OK ? 18 : 0,
                                     .connect_usec = noon(connect_msec),
                                     .end_usec = noon(end_msec),
                                     .end = end}};
}

/* The entry of such a connection. */
static inline struct log_entry entry_of(const char *host, uint32_t port, int64_t accepted_msec,
                                        enum result result)
{
    return (struct log_entry){.kind = LOG_ENTRY_CONNECTION,
                              .client = receipt_peer(host, port, port),
                              .result = result,
                              .bytes = 18,
                              .bytes_acked = result == RESULT_DELIVERED ? 18 : 0,
                              .accepted_usec = noon(accepted_msec),
                              .ended_usec = noon(accepted_msec + 1)};
}
