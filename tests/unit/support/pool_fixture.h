/* SPDX-License-Identifier: MIT */
#pragma once

/* A pool of workers on the listeners of a snapshot, and an event loop for the tests of the main
 * thread. */

#include <criterion/criterion.h>
#include <sys/mman.h>
#include <systemd/sd-event.h>

#include "greetd/base/clock.h"
#include "greetd/worker/pool.h"
#include "support/logger_options.h"
#include "support/net.h"
#include "support/snapshot_fixture.h"

struct pool_fixture {
    struct snapshot_fixture net;
    struct sink sink;
    struct metrics *metrics;
    struct logger *logger;
    struct pool *pool;
    sd_event *event;
};

/* Opens everything but the workers, so that the listeners can still be changed. */
static inline void pool_fixture_prepare(struct pool_fixture *fixture, size_t n_bindings)
{
    snapshot_fixture_open(&fixture->net, n_bindings);
    sink_init(&fixture->sink, memfd_create("log", MFD_CLOEXEC));
    cr_assert_eq(sd_event_new(&fixture->event), 0);
}

/* Waits until the slowest worker is in STATE. */
static inline void pool_fixture_await(struct pool_fixture *fixture, enum worker_state state)
{
    int error;

    while (pool_state(fixture->pool, &error) < state)
        net_wait(pool_changed_fd(fixture->pool), POLLIN);
    cr_assert_eq(pool_state(fixture->pool, &error), state);
}

/* Starts the log thread. */
static inline void pool_fixture_start_logger(struct pool_fixture *fixture, size_t n_workers)
{
    cr_assert_eq(metrics_new(&fixture->metrics, n_workers), 0);
    cr_assert_eq(
        logger_start(&fixture->logger, &fixture->sink, fixture->metrics, &LOGGER_EVERYTHING), 0);
}

/* Starts the log thread and the workers, and waits until all accept. */
static inline void pool_fixture_start(struct pool_fixture *fixture, size_t n_workers,
                                      uint64_t max_connections)
{
    pool_fixture_start_logger(fixture, n_workers);
    cr_assert_eq(pool_start(&fixture->pool, fixture->net.snapshot, max_connections,
                            fixture->metrics, fixture->logger),
                 0);
    pool_fixture_await(fixture, WORKER_ACCEPTING);
}

/* Opens one listener and starts its workers. */
static inline void pool_fixture_open(struct pool_fixture *fixture, size_t n_workers)
{
    pool_fixture_prepare(fixture, 1);
    pool_fixture_start(fixture, n_workers, 100);
}

static inline void pool_fixture_close(struct pool_fixture *fixture)
{
    cr_assert_eq(pool_end(fixture->pool, USEC_INFINITY), 0);
    cr_assert_eq(logger_stop(fixture->logger, USEC_INFINITY), 0);
    pool_free(fixture->pool);
    metrics_free(fixture->metrics);
    sd_event_unref(fixture->event);
    snapshot_fixture_close(&fixture->net);
}

/* Returns all log lines so far; valid until the next call. */
static inline const char *pool_fixture_logged(const struct pool_fixture *fixture)
{
    static char text[64 * 1024];
    ssize_t n = pread(fixture->sink.fd, text, sizeof(text) - 1, 0);

    text[n > 0 ? n : 0] = '\0';
    return text;
}

/* Greets one client and waits until it has ended. */
static inline void pool_fixture_greet(struct pool_fixture *fixture)
{
    uint64_t n = metrics_sum(fixture->metrics).ended;

    snapshot_fixture_read_hello(net_connect(&fixture->net.addresses[0]));
    NET_WAIT_UNTIL(metrics_sum(fixture->metrics).ended > n);
}
