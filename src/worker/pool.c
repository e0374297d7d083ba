/* SPDX-License-Identifier: MIT */
#include "greetd/worker/pool.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "greetd/base/clock.h"
#include "greetd/base/waker.h"
#include "greetd/worker/context.h"

struct pool {
    struct worker_shared shared;
    unsigned n_initialised, n_started;
    unsigned n_posted;         /* messages to each worker */
    uint64_t *n_rounds_pinged; /* owned: of each worker, at the last pool_ping() */
    struct worker workers[];
};

/* An even share; the first workers take the remainder. */
static size_t share_of(uint64_t max_connections, size_t n_workers, size_t index)
{
    return (size_t)(max_connections / n_workers + (index < max_connections % n_workers));
}

static int pool_new(struct pool **ret, uint64_t max_connections, struct metrics *metrics,
                    struct logger *logger)
{
    size_t size = sizeof(struct pool) + metrics->n * sizeof(struct worker);
    /* The workers' rings are on cache lines of their own. */
    _cleanup_(pool_freep) struct pool *pool = aligned_alloc(_Alignof(struct worker), size);

    if (!pool)
        return -ENOMEM;
    memset(pool, 0, size);
    pool->shared = (struct worker_shared){
        .metrics = metrics,
        .logger = logger,
        .max_connections = max_connections,
        .pid = getpid(),
        .changed_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
        .look_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
    };
    if (pool->shared.changed_fd < 0 || pool->shared.look_fd < 0)
        return -errno;
    pool->n_rounds_pinged = calloc(metrics->n, sizeof(uint64_t));
    if (!pool->n_rounds_pinged)
        return -ENOMEM;
    int r = sources_new(&pool->shared.sources, max_connections);
    if (r < 0)
        return r;

    *ret = TAKE_PTR(pool);
    return 0;
}

static int init_worker(struct pool *pool, struct snapshot *snapshot)
{
    unsigned index = pool->n_initialised;
    struct generation *generation;
    int r = generation_new(&generation, snapshot, pool->shared.metrics, index);

    if (r < 0)
        return r;
    pool->n_initialised++;
    return worker_init(&pool->workers[index], index,
                       share_of(pool->shared.max_connections, pool->shared.metrics->n, index),
                       generation, &pool->shared);
}

static int pool_init_workers(struct pool *pool, struct snapshot *snapshot)
{
    while (pool->n_initialised < pool->shared.metrics->n) {
        int r = init_worker(pool, snapshot);
        if (r < 0)
            return r;
    }
    return 0;
}

static bool is_for(const struct pool *pool, const struct binding *binding, unsigned worker)
{
    return binding_is_for(binding, worker, pool->shared.metrics->n);
}

/* Counts the workers as users of the listeners that they accept from, before any can release one.
 */
static void use_listeners(const struct pool *pool, const struct snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->n; i++)
        for (unsigned worker = 0; worker < pool->n_initialised; worker++)
            if (is_for(pool, &snapshot->bindings[i], worker))
                listener_use(snapshot->bindings[i].listener, 1);
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

int pool_start(struct pool **ret, struct snapshot *snapshot, uint64_t max_connections,
               struct metrics *metrics, struct logger *logger)
{
    _cleanup_(pool_freep) struct pool *pool = NULL;

    assert(metrics->n > 0 && metrics->n <= max_connections);
    int r = pool_new(&pool, max_connections, metrics, logger);
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

/* Not pthread_clockjoin_np(3), which ThreadSanitizer does not know. */
static bool await_workers(const struct pool *pool, uint64_t deadline_usec)
{
    int changed_fd = pool->shared.changed_fd;
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
    if (!await_workers(pool, deadline_usec)) {
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
    safe_close(pool->shared.changed_fd);
    safe_close(pool->shared.look_fd);
    sources_free(pool->shared.sources);
    free(pool->n_rounds_pinged);
    free(pool);
}

int pool_changed_fd(const struct pool *pool)
{
    return pool->shared.changed_fd;
}

enum worker_state pool_state(const struct pool *pool, int *ret_error)
{
    enum worker_state slowest = WORKER_ENDED;
    eventfd_t n;

    /* First this, then the states: a change in between makes it readable again. */
    (void)eventfd_read(pool->shared.changed_fd, &n);
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

    /* The callers check pool_settled(), but for the few messages of a stop, which always fit. */
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

    /* A list, from the last worker to the first, so that the first is at its head. */
    for (unsigned i = pool->n_started; i-- > 0;) {
        struct generation *generation;
        int r = generation_new(&generation, snapshot, pool->shared.metrics, i);
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

/* Makes a greeting for each listener with CONFIG that WORKER has. */
static int list_greetings(const struct pool *pool, unsigned worker, struct worker_greeting **list,
                          const struct snapshot *snapshot, const struct config_listener *config,
                          struct greeting *text)
{
    size_t index = 0;

    for (size_t i = 0; i < snapshot->n; i++) {
        struct worker_greeting *greeting;

        if (!is_for(pool, &snapshot->bindings[i], worker))
            continue;
        if (snapshot->bindings[i].config == config) {
            int r = worker_greeting_new(&greeting, index, text);
            if (r < 0)
                return r;
            greeting->next = *list;
            *list = greeting;
        }
        index++;
    }
    return 0;
}

int pool_replace_greeting(struct pool *pool, const struct snapshot *snapshot,
                          const struct config_listener *config, struct greeting *text)
{
    _cleanup_free_ struct worker_message *messages = calloc(pool->n_started, sizeof(*messages));
    int r = messages ? 0 : -ENOMEM;

    assert(pool_settled(pool));
    for (unsigned i = 0; r >= 0 && i < pool->n_started; i++)
        r = list_greetings(pool, i, &messages[i].greetings, snapshot, config, text);
    if (r < 0) {
        for (unsigned i = 0; messages && i < pool->n_started; i++)
            worker_greeting_free_list(messages[i].greetings);
        return r;
    }
    pool->n_posted++;
    for (unsigned i = 0; i < pool->n_started; i++) {
        messages[i].kind = WORKER_REPLACE;
        post(pool, i, messages[i]);
    }
    return 0;
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

    for (unsigned i = 0; i < pool->n_started; i++)
        since = usec_max(
            since, atomic_load_explicit(&pool->workers[i].idle_since_usec, memory_order_acquire));
    return since;
}

const struct sources *pool_sources(const struct pool *pool)
{
    return pool->shared.sources;
}

struct metrics_sums pool_sums_and_watch(struct pool *pool)
{
    atomic_store_explicit(&pool->shared.wants_activity, true, memory_order_relaxed);
    /* Pairs with the fence of a worker: its count is seen here, or it sees the wish. */
    atomic_thread_fence(memory_order_seq_cst);
    return metrics_sum(pool->shared.metrics);
}
