/* SPDX-License-Identifier: MIT */
#pragma once

/* The choice of the client that is closed to make room for the next one at MaxConnections=, or when
 * descriptors are short. Owns nothing; only for the thread of the worker. */

#include <stdint.h>

#include "greetd/base/timeout_queue.h"
#include "greetd/worker/conn.h"
#include "greetd/worker/generation.h"

/* Returns the first of these that the generations from NEWEST on, and the CONN_POLLS queues SOON,
 * have:
 *
 *   1. the refused client that has waited longest to take or acknowledge RefuseMessage=;
 *   2. the client of DripSec= that has waited longest for its next line, or to take it;
 *   3. the client that has lingered longest;
 *   4. the oldest of the clients in SOON, which were just greeted, and of those expected to send;
 *   5. the oldest client that has at most CONN_LEFT_MAX bytes of its greeting to acknowledge, or
 *      has acknowledged nothing for LingerSec=.
 *
 * Returns NULL without any: without DripSec= a client in the middle of its greeting is never
 * evicted. NOW is CLOCK_MONOTONIC in microseconds. */
struct conn *eviction_candidate(const struct generation *newest, const struct timeout_queue *soon,
                                uint64_t now_usec);
