/* SPDX-License-Identifier: MIT */
#pragma once

/* The fixed pool of workers, and the only interface of the control plane to them: started together,
 * sent messages together, stopped in two phases (first no new clients, then no clients) and joined.
 * Only for the main thread. */

#include <stdbool.h>
#include <stdint.h>

#include "greetd/base/cleanup.h"
#include "greetd/journal/logger.h"
#include "greetd/listen/snapshot.h"
#include "greetd/metrics/metrics.h"
#include "greetd/worker/generation.h"
#include "greetd/worker/worker.h"

struct pool;

/* Starts a thread for each worker of METRICS. Together they hold up to MAX_CONNECTIONS clients, at
 * least one each, of SNAPSHOT, of which they keep references. METRICS and LOGGER are borrowed until
 * pool_free(). On success *RET is the caller's. Errors: -ENOMEM, or what worker_init() and
 * worker_start() return. */
int pool_start(struct pool **ret, struct snapshot *snapshot, uint64_t max_connections,
               struct metrics *metrics, struct logger *logger);

/* Prepares all that the workers need to serve SNAPSHOT, of which references are kept. On success
 * *RET is the caller's, for pool_adopt() or pool_discard(). Errors: -ENOMEM. */
int pool_prepare(struct pool *pool, struct snapshot *snapshot, struct generation **ret);

/* Has every worker serve SNAPSHOT from now on. pool_settled() must be true before, and is true
 * again when all do. Connected clients stay with the snapshot that they were accepted under.
 * PREPARED is taken over. */
void pool_adopt(struct pool *pool, struct snapshot *snapshot, struct generation *prepared);

/* Frees what pool_prepare() has made. NULL is allowed. */
void pool_discard(struct generation *prepared);
DEFINE_CLEANUP_FUNCTION(struct generation, pool_discard)

/* Has every worker greet new clients of the listeners with CONFIG with TEXT. SNAPSHOT is the one in
 * force, and pool_settled() must be true before. Connected clients keep the greeting that they
 * receive. References of TEXT are kept. Errors: -ENOMEM, when nothing has changed. */
int pool_replace_greeting(struct pool *pool, const struct snapshot *snapshot,
                          const struct config_listener *config, struct greeting *text);

/* Whether every worker has handled all its messages. */
bool pool_settled(const struct pool *pool);

/* Ends the workers at once, with all clients they have, and joins the threads. Returns 0, or
 * -ETIMEDOUT if one has not ended by DEADLINE (CLOCK_MONOTONIC microseconds): then nothing that
 * workers use may be freed, and the process should exit. */
int pool_end(struct pool *pool, uint64_t deadline_usec);

/* Does the same without a deadline, unless it is done, and frees the pool. NULL is allowed. */
void pool_free(struct pool *pool);
DEFINE_CLEANUP_FUNCTION(struct pool, pool_free)

/* A descriptor that is readable when pool_state() may have changed; borrowed. */
int pool_changed_fd(const struct pool *pool);

/* Returns the state of the slowest worker; WORKER_FAILED with a negative errno in *RET_ERROR if any
 * has failed. Resets pool_changed_fd() until the next change. */
enum worker_state pool_state(const struct pool *pool, int *ret_error);

/* Sends a message other than WORKER_ADOPT and WORKER_REPLACE to every worker. */
void pool_post(struct pool *pool, enum worker_message_kind kind);

/* Wakes every worker for a round of its loop; pool_is_responsive() shows later whether it made
 * one. */
void pool_ping(struct pool *pool);

/* Whether every worker that has not ended has made a round since the last pool_ping(). If not,
 * *RET_STUCK is the index of one that has not. */
bool pool_is_responsive(const struct pool *pool, unsigned *ret_stuck);

/* Since when there has been no client (CLOCK_MONOTONIC microseconds); USEC_INFINITY while there is
 * one. */
uint64_t pool_idle_since(const struct pool *pool);

/* The table of the limits per source; borrowed. */
const struct sources *pool_sources(const struct pool *pool);

/* Returns the sums of all counters, and makes pool_changed_fd() readable when one changes. */
struct metrics_sums pool_sums_and_watch(struct pool *pool);
