/* SPDX-License-Identifier: MIT */
#pragma once

/* A pool of workers that serves a place, with an event loop beside it, for the tests of what the
 * main thread does. */

#include <criterion/criterion.h>
#include <sys/mman.h>
#include <systemd/sd-event.h>

#include "greetd/base/clock.h"
#include "greetd/worker/pool.h"
#include "support/fake_systemd.h"
#include "support/logger_options.h"
#include "support/net.h"
#include "support/snapshot_fixture.h"

struct pool_fixture {
    struct snapshot_fixture snapshot_fixture;
    struct sink sink;
    struct metrics *metrics;
    struct logger *logger;
    struct pool *pool;
    sd_event *event;
};

static inline void pool_fixture_open(struct pool_fixture *s, size_t n_workers)
{
    int error;

    snapshot_fixture_open(&s->snapshot_fixture, 1);
    sink_init(&s->sink, memfd_create("log", MFD_CLOEXEC));
    cr_assert_eq(metrics_new(&s->metrics, n_workers), 0);
    cr_assert_eq(logger_start(&s->logger, &s->sink, s->metrics, &LOGGER_EVERYTHING), 0);
    cr_assert_eq(pool_start(&s->pool, s->snapshot_fixture.snapshot, 100, s->metrics, s->logger), 0);
    while (pool_state(s->pool, &error) < WORKER_ACCEPTING)
        net_wait(pool_changed_fd(s->pool), POLLIN);
    cr_assert_eq(sd_event_new(&s->event), 0);
}

static inline void pool_fixture_close(struct pool_fixture *s)
{
    cr_assert_eq(pool_end(s->pool, USEC_INFINITY), 0);
    cr_assert_eq(logger_stop(s->logger, USEC_INFINITY), 0);
    pool_free(s->pool);
    metrics_free(s->metrics);
    sd_event_unref(s->event);
    snapshot_fixture_close(&s->snapshot_fixture);
}

/* Returns all log lines so far; valid until the next call. */
static inline const char *pool_fixture_logged(const struct pool_fixture *s)
{
    static char text[64 * 1024];
    ssize_t n = pread(s->sink.fd, text, sizeof(text) - 1, 0);

    text[n > 0 ? n : 0] = '\0';
    return text;
}

/* Greets one client and waits until it has ended. */
static inline void pool_fixture_greet(struct pool_fixture *s)
{
    uint64_t n = metrics_sum(s->metrics).ended;

    snapshot_fixture_read_hello(net_connect(&s->snapshot_fixture.addresses[0]));
    NET_WAIT_UNTIL(metrics_sum(s->metrics).ended > n);
}
