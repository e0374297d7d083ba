/* SPDX-License-Identifier: MIT */
#pragma once

/* The fixed pool of workers: started together, told things together, stopped in two phases (first
 * no new clients, then no clients) and joined. Only for the main thread. */

#include <stdbool.h>
#include <stdint.h>

#include "greetd/base/cleanup.h"
#include "greetd/journal/logger.h"
#include "greetd/listen/snapshot.h"
#include "greetd/metrics/metrics.h"
#include "greetd/worker/worker.h"

struct pool;

/* Starts N_WORKERS threads (fewer if there would not be one client for each) that together hold up
 * to MAX_CONNECTIONS clients of ENDPOINTS, of which they keep references. CONNLOG is borrowed until
 * pool_free(). On success *RET is the caller's. Errors: -ENOMEM, or what the system refused a
 * worker. */
int pool_start(struct pool **ret, struct snapshot *snapshot, unsigned n_workers,
               uint64_t max_connections, struct logger *logger);

/* Prepares what every worker needs to serve ENDPOINTS, of which references are kept. On success
 * *RET is the caller's, for pool_adopt() or pool_discard(). Errors: -ENOMEM. */
int pool_prepare(struct pool *pool, struct snapshot *snapshot, struct generation **ret);

/* Has every worker serve ENDPOINTS from now on; pool_settled() tells when all do, and must tell so
 * before. Clients that are there already stay with what they were accepted under. PREPARED is
 * taken over. */
void pool_adopt(struct pool *pool, struct snapshot *snapshot, struct generation *prepared);

/* Frees what is not going to be adopted. NULL is allowed. */
void pool_discard(struct generation *prepared);
DEFINE_CLEANUP_FUNCTION(struct generation, pool_discard)

/* Whether every worker has acted on all it was told. */
bool pool_settled(const struct pool *pool);

/* Ends the workers at once, with whatever clients they still have, and joins their threads. Returns
 * 0, or -ETIMEDOUT if one has not ended by DEADLINE (CLOCK_MONOTONIC microseconds): then nothing of
 * what workers use may be freed any more, and the process should exit. */
int pool_end(struct pool *pool, uint64_t deadline_usec);

/* Does the same if it has not been done, however long it takes, and frees the pool. NULL is
 * allowed. */
void pool_free(struct pool *pool);
DEFINE_CLEANUP_FUNCTION(struct pool, pool_free)

/* A descriptor that becomes readable when pool_state() may have changed; borrowed. */
int pool_changed_fd(const struct pool *pool);

/* Where the slowest worker is; WORKER_FAILED with a negative errno in *RET_ERROR if any has failed.
 * Also makes pool_changed_fd() unreadable until the next change. */
enum worker_state pool_state(const struct pool *pool, int *ret_error);

/* Tells every worker something other than WORKER_ADOPT. */
void pool_post(struct pool *pool, enum worker_message_kind kind);

/* Has every worker, also an idle one, go round its loop; pool_is_responsive() tells later whether
 * it has. */
void pool_ping(struct pool *pool);

/* Whether every worker that has not ended has gone round its loop since the last pool_ping(). If
 * not, *RET_STUCK is the index of one that has not. */
bool pool_is_responsive(const struct pool *pool, unsigned *ret_stuck);

/* Since when there has been no client (CLOCK_MONOTONIC microseconds); USEC_INFINITY if there is
 * one. */
uint64_t pool_idle_since(const struct pool *pool);

/* How many workers there are. */
unsigned pool_n_workers(const struct pool *pool);

/* What is counted, of which the reloads are for the main thread to count; borrowed. Reading it is
 * for any thread. */
struct metrics *pool_metrics(struct pool *pool);

/* What all workers have counted so far. */
struct metrics_sums pool_sums(const struct pool *pool);

/* The same, and has pool_changed_fd() become readable at the next thing that is counted. */
struct metrics_sums pool_sums_and_watch(struct pool *pool);
