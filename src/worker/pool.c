/* SPDX-License-Identifier: MIT */
#include "greetd/worker/pool.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "greetd/base/clock.h"
#include "greetd/base/waker.h"
#include "greetd/metrics/prometheus.h"

struct pool {
    struct worker_shared shared;
    unsigned n_initialised, n_started;
    unsigned n_posted;         /* messages to each worker */
    uint64_t *n_rounds_pinged; /* owned: of each worker, at the last pool_ping() */
    struct worker workers[];
};

/* An even share; the first few take what is left over. */
static size_t share_of(uint64_t max_connections, unsigned n_workers, unsigned index)
{
    return (size_t)(max_connections / n_workers + (index < max_connections % n_workers));
}

/* What $metrics stands for, whichever worker asks. */
static size_t write_metrics(void *context, char *buffer, size_t size)
{
    const struct pool *pool = context;
    const struct prometheus what = {
        .metrics = &pool->shared.accept.metrics,
        .log_suppressed = logger_dropped(pool->shared.logger),
    };

    return prometheus_format(buffer, size, &what);
}

static int pool_new(struct pool **ret, unsigned n_workers, uint64_t max_connections,
                    struct logger *logger)
{
    size_t size = sizeof(struct pool) + n_workers * sizeof(struct worker);
    /* The workers' rings stand on cache lines of their own. */
    _cleanup_(pool_freep) struct pool *pool = aligned_alloc(_Alignof(struct worker), size);

    if (!pool)
        return -ENOMEM;
    memset(pool, 0, size);
    pool->shared = (struct worker_shared){
        .n_workers = n_workers,
        .logger = logger,
        .metrics_text = {.write = write_metrics, .context = pool},
        .accept.max_connections = max_connections,
        .accept.changed_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
        .accept.look_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
    };
    if (pool->shared.accept.changed_fd < 0 || pool->shared.accept.look_fd < 0)
        return -errno;
    pool->n_rounds_pinged = calloc(n_workers, sizeof(uint64_t));
    if (!pool->n_rounds_pinged)
        return -ENOMEM;
    int r = metrics_init(&pool->shared.accept.metrics, n_workers);
    if (r < 0)
        return r;

    *ret = TAKE_PTR(pool);
    return 0;
}

static int init_worker(struct pool *pool, struct snapshot *snapshot)
{
    unsigned index = pool->n_initialised, n = pool->shared.n_workers;
    struct generation *generation;
    int r = generation_new(&generation, snapshot, &pool->shared.accept.metrics, index);

    if (r < 0)
        return r;
    pool->n_initialised++;
    return worker_init(&pool->workers[index], index,
                       share_of(pool->shared.accept.max_connections, n, index), generation,
                       &pool->shared);
}

static int pool_init_workers(struct pool *pool, struct snapshot *snapshot)
{
    while (pool->n_initialised < pool->shared.n_workers) {
        int r = init_worker(pool, snapshot);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Before the workers can let go of any. */
static void use_listeners(const struct pool *pool, const struct snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->n; i++)
        listener_use(snapshot->bindings[i].listener, pool->n_initialised);
}

static int pool_start_workers(struct pool *pool)
{
    while (pool->n_started < pool->n_initialised) {
        int r = worker_start(&pool->workers[pool->n_started]);
        if (r < 0)
            return r;
        pool->n_started++;
    }
    return 0;
}

int pool_start(struct pool **ret, struct snapshot *snapshot, unsigned n_workers,
               uint64_t max_connections, struct logger *logger)
{
    _cleanup_(pool_freep) struct pool *pool = NULL;
    int r;

    assert(n_workers > 0 && max_connections > 0);
    if (n_workers > max_connections)
        n_workers = (unsigned)max_connections;

    r = pool_new(&pool, n_workers, max_connections, logger);
    if (r < 0)
        return r;
    r = pool_init_workers(pool, snapshot);
    if (r < 0)
        return r;
    use_listeners(pool, snapshot);
    r = pool_start_workers(pool);
    if (r < 0)
        return r;

    *ret = TAKE_PTR(pool);
    return 0;
}

static bool have_ended(const struct pool *pool)
{
    for (unsigned i = 0; i < pool->n_started; i++)
        if (worker_state(&pool->workers[i]) < WORKER_ENDED)
            return false;
    return true;
}

/* Not by pthread_clockjoin_np(3), of which ThreadSanitizer knows nothing. */
static bool await_acknowledgement_or_close(const struct pool *pool, uint64_t deadline_usec)
{
    int changed_fd = pool->shared.accept.changed_fd;
    eventfd_t n;

    while (!have_ended(pool)) {
        if (!waker_wait_readable(changed_fd, deadline_usec))
            return false;
        (void)eventfd_read(changed_fd, &n);
    }
    return true;
}

int pool_end(struct pool *pool, uint64_t deadline_usec)
{
    pool_post(pool, WORKER_QUIT);
    if (!await_acknowledgement_or_close(pool, deadline_usec)) {
        for (unsigned i = 0; i < pool->n_started; i++)
            pthread_detach(pool->workers[i].thread);
        return -ETIMEDOUT;
    }
    while (pool->n_started > 0)
        pthread_join(pool->workers[--pool->n_started].thread, NULL);
    return 0;
}

void pool_free(struct pool *pool)
{
    if (!pool)
        return;
    (void)pool_end(pool, USEC_INFINITY);
    for (unsigned i = 0; i < pool->n_initialised; i++)
        worker_deinit(&pool->workers[i]);
    metrics_deinit(&pool->shared.accept.metrics);
    safe_close(pool->shared.accept.changed_fd);
    safe_close(pool->shared.accept.look_fd);
    free(pool->n_rounds_pinged);
    free(pool);
}

int pool_changed_fd(const struct pool *pool)
{
    return pool->shared.accept.changed_fd;
}

enum worker_state pool_state(const struct pool *pool, int *ret_error)
{
    enum worker_state slowest = WORKER_ENDED;
    eventfd_t n;

    /* First this, then the states: a change in between is announced again. */
    (void)eventfd_read(pool->shared.accept.changed_fd, &n);
    for (unsigned i = 0; i < pool->n_started; i++) {
        enum worker_state state = worker_state(&pool->workers[i]);

        if (state == WORKER_FAILED) {
            *ret_error = pool->workers[i].error;
            return state;
        }
        if (state < slowest)
            slowest = state;
    }
    return slowest;
}

static void post(struct pool *pool, unsigned index, struct worker_message message)
{
    int r = worker_post(&pool->workers[index], message);

    /* The main thread asks first whether there is room for more than the few messages of an end. */
    assert(r >= 0);
    (void)r;
}

void pool_post(struct pool *pool, enum worker_message_kind kind)
{
    pool->n_posted++;
    for (unsigned i = 0; i < pool->n_started; i++)
        post(pool, i, (struct worker_message){.kind = kind});
}

static unsigned n_handled(const struct worker *worker)
{
    return atomic_load_explicit(&worker->n_handled, memory_order_acquire);
}

bool pool_settled(const struct pool *pool)
{
    for (unsigned i = 0; i < pool->n_started; i++)
        if (n_handled(&pool->workers[i]) != pool->n_posted)
            return false;
    return true;
}

int pool_prepare(struct pool *pool, struct snapshot *snapshot, struct generation **ret)
{
    _cleanup_(pool_discardp) struct generation *prepared = NULL;

    /* The one behind the other: that for the first worker is made last, and taken first. */
    for (unsigned i = pool->n_started; i-- > 0;) {
        struct generation *generation;
        int r = generation_new(&generation, snapshot, &pool->shared.accept.metrics, i);
        if (r < 0)
            return r;
        generation->older = prepared;
        prepared = generation;
    }
    *ret = TAKE_PTR(prepared);
    return 0;
}

static struct generation *take_first(struct generation **prepared)
{
    struct generation *generation = *prepared;

    *prepared = generation->older;
    generation->older = NULL;
    return generation;
}

void pool_discard(struct generation *prepared)
{
    while (prepared)
        generation_free(take_first(&prepared));
}

void pool_adopt(struct pool *pool, struct snapshot *snapshot, struct generation *prepared)
{
    assert(pool_settled(pool));
    use_listeners(pool, snapshot);
    pool->n_posted++;
    for (unsigned i = 0; i < pool->n_started; i++)
        post(pool, i,
             (struct worker_message){.kind = WORKER_ADOPT, .generation = take_first(&prepared)});
}

static uint64_t n_rounds(const struct worker *worker)
{
    return atomic_load_explicit(&worker->n_rounds, memory_order_relaxed);
}

void pool_ping(struct pool *pool)
{
    for (unsigned i = 0; i < pool->n_started; i++) {
        pool->n_rounds_pinged[i] = n_rounds(&pool->workers[i]);
        worker_wake(&pool->workers[i]);
    }
}

bool pool_is_responsive(const struct pool *pool, unsigned *ret_stuck)
{
    for (unsigned i = 0; i < pool->n_started; i++)
        if (n_rounds(&pool->workers[i]) == pool->n_rounds_pinged[i] &&
            worker_state(&pool->workers[i]) < WORKER_ENDED) {
            *ret_stuck = i;
            return false;
        }
    return true;
}

uint64_t pool_idle_since(const struct pool *pool)
{
    uint64_t since = 0;

    for (unsigned i = 0; i < pool->n_started; i++) {
        uint64_t worker_since =
            atomic_load_explicit(&pool->workers[i].idle_since_usec, memory_order_acquire);
        if (worker_since > since)
            since = worker_since;
    }
    return since;
}

unsigned pool_n_workers(const struct pool *pool)
{
    return pool->n_initialised;
}

struct metrics *pool_metrics(struct pool *pool)
{
    return &pool->shared.accept.metrics;
}

struct metrics_sums pool_sums(const struct pool *pool)
{
    return metrics_sum(&pool->shared.accept.metrics);
}

struct metrics_sums pool_sums_and_watch(struct pool *pool)
{
    atomic_store_explicit(&pool->shared.wants_activity, true, memory_order_relaxed);
    /* Pairs with that of a worker: what it counts is seen here, or it sees that it is to tell. */
    atomic_thread_fence(memory_order_seq_cst);
    return pool_sums(pool);
}
