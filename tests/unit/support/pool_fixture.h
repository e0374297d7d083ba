/* SPDX-License-Identifier: MIT */
#pragma once

/* A pool of workers that serves a place, with an event loop beside it, for the tests of what the
 * main thread does. */

#include <criterion/criterion.h>
#include <sys/mman.h>
#include <systemd/sd-event.h>

#include "greetd/base/timeout_queue.h"
#include "greetd/worker/pool.h"
#include "support/fake_systemd.h"
#include "support/logger_options.h"
#include "support/net.h"
#include "support/snapshot_fixture.h"

struct serving {
    struct place place;
    struct log log;
    struct connlog *connlog;
    struct pool *pool;
    sd_event *event;
};

static inline void serving_open(struct serving *s, unsigned n_workers)
{
    int error;

    place_open(&s->place, 1);
    log_init(&s->log, memfd_create("log", MFD_CLOEXEC));
    cr_assert_eq(connlog_start(&s->connlog, &s->log, n_workers, &CONNLOG_EVERYTHING), 0);
    cr_assert_eq(pool_start(&s->pool, s->place.endpoints, n_workers, 100, s->connlog), 0);
    while (pool_state(s->pool, &error) < WORKER_ACCEPTING)
        net_wait(pool_changed_fd(s->pool), POLLIN);
    cr_assert_eq(sd_event_new(&s->event), 0);
}

static inline void serving_close(struct serving *s)
{
    cr_assert_eq(pool_end(s->pool, DEADLINE_NEVER), 0);
    cr_assert_eq(connlog_stop(s->connlog, DEADLINE_NEVER), 0);
    pool_free(s->pool);
    sd_event_unref(s->event);
    place_close(&s->place);
}

/* What has been logged by now; valid until the next call. */
static inline const char *serving_logged(const struct serving *s)
{
    static char text[64 * 1024];
    ssize_t n = pread(s->log.fd, text, sizeof(text) - 1, 0);

    text[n > 0 ? n : 0] = '\0';
    return text;
}

/* One client comes, is greeted, and has gone again. */
static inline void serving_greet(struct serving *s)
{
    uint64_t n = pool_sums(s->pool).ended;

    place_read_hello(net_connect(&s->place.addresses[0]));
    NET_WAIT_UNTIL(pool_sums(s->pool).ended > n);
}
