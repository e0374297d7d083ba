/* SPDX-License-Identifier: MIT */
#pragma once

/* The fixed pool of workers: started together, told things together, stopped in two phases (first
 * no new clients, then no clients) and joined. Only for the main thread. */

#include <stdint.h>

#include "greetd/connlog.h"
#include "greetd/endpoint.h"
#include "greetd/metrics.h"
#include "greetd/util.h"
#include "greetd/worker.h"

struct pool;

/* Starts N_WORKERS threads (fewer if there would not be one client for each) that together hold up
 * to MAX_CONNECTIONS clients of ENDPOINTS. ENDPOINTS, all they name, and CONNLOG are borrowed until
 * pool_free(). On success *RET is the caller's. Errors: -ENOMEM, or what the system refused a
 * worker. */
int pool_start(struct pool **ret, const struct endpoints *endpoints, unsigned n_workers,
               uint64_t max_connections, struct connlog *connlog);

/* Ends the workers at once, with whatever clients they still have, and joins their threads. */
void pool_end(struct pool *pool);

/* Does the same if it has not been done, and frees the pool. NULL is allowed. */
void pool_free(struct pool *pool);
DEFINE_CLEANUP_FUNCTION(struct pool, pool_free)

/* A descriptor that becomes readable when pool_state() may have changed; borrowed. */
int pool_changed_fd(const struct pool *pool);

/* Where the slowest worker is; WORKER_FAILED with a negative errno in *RET_ERROR if any has failed.
 * Also makes pool_changed_fd() unreadable until the next change. */
enum worker_state pool_state(const struct pool *pool, int *ret_error);

/* Tells every worker MESSAGE. */
void pool_post(struct pool *pool, enum worker_message message);

/* How many workers there are. */
unsigned pool_n_workers(const struct pool *pool);

/* What all workers have counted so far. */
struct metrics_sums pool_sums(const struct pool *pool);
