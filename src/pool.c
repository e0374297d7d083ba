/* SPDX-License-Identifier: MIT */
#include "greetd/pool.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>

struct pool {
    struct worker_shared shared;
    unsigned n_initialised, n_started;
    struct worker workers[];
};

/* An even share; the first few take what is left over. */
static size_t share_of(uint64_t max_connections, unsigned n_workers, unsigned index)
{
    return (size_t)(max_connections / n_workers + (index < max_connections % n_workers));
}

static int pool_new(struct pool **ret, const struct endpoints *endpoints, unsigned n_workers,
                    uint64_t max_connections, struct connlog *connlog)
{
    size_t size = sizeof(struct pool) + n_workers * sizeof(struct worker);
    /* The workers' rings stand on cache lines of their own. */
    _cleanup_(pool_freep) struct pool *pool = aligned_alloc(_Alignof(struct worker), size);

    if (!pool)
        return -ENOMEM;
    memset(pool, 0, size);
    pool->shared = (struct worker_shared){
        .endpoints = *endpoints,
        .n_workers = n_workers,
        .connlog = connlog,
        .accept.max_connections = max_connections,
        .changed_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
    };
    if (pool->shared.changed_fd < 0)
        return -errno;
    int r = metrics_init(&pool->shared.accept.metrics, n_workers);
    if (r < 0)
        return r;

    *ret = TAKE_PTR(pool);
    return 0;
}

static int pool_init_workers(struct pool *pool)
{
    unsigned n = pool->shared.n_workers;
    uint64_t max = pool->shared.accept.max_connections;

    while (pool->n_initialised < n) {
        unsigned i = pool->n_initialised++;
        int r = worker_init(&pool->workers[i], i, share_of(max, n, i), &pool->shared);
        if (r < 0)
            return r;
    }
    return 0;
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

int pool_start(struct pool **ret, const struct endpoints *endpoints, unsigned n_workers,
               uint64_t max_connections, struct connlog *connlog)
{
    _cleanup_(pool_freep) struct pool *pool = NULL;
    int r;

    assert(n_workers > 0 && max_connections > 0);
    if (n_workers > max_connections)
        n_workers = (unsigned)max_connections;

    r = pool_new(&pool, endpoints, n_workers, max_connections, connlog);
    if (r < 0)
        return r;
    r = pool_init_workers(pool);
    if (r < 0)
        return r;
    r = pool_start_workers(pool);
    if (r < 0)
        return r;

    *ret = TAKE_PTR(pool);
    return 0;
}

void pool_end(struct pool *pool)
{
    pool_post(pool, WORKER_QUIT);
    while (pool->n_started > 0)
        pthread_join(pool->workers[--pool->n_started].thread, NULL);
}

void pool_free(struct pool *pool)
{
    if (!pool)
        return;
    pool_end(pool);
    for (unsigned i = 0; i < pool->n_initialised; i++)
        worker_deinit(&pool->workers[i]);
    metrics_deinit(&pool->shared.accept.metrics);
    util_close(pool->shared.changed_fd);
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

    /* First this, then the states: a change in between is announced again. */
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

void pool_post(struct pool *pool, enum worker_message message)
{
    for (unsigned i = 0; i < pool->n_started; i++) {
        int r = worker_post(&pool->workers[i], message);
        /* The main thread sends but a few messages in a worker's whole life. */
        assert(r >= 0);
        (void)r;
    }
}

unsigned pool_n_workers(const struct pool *pool)
{
    return pool->n_initialised;
}

struct metrics_sums pool_sums(const struct pool *pool)
{
    return metrics_sum(&pool->shared.accept.metrics);
}
