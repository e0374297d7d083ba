/* SPDX-License-Identifier: MIT */

/* Tests of the counts at the time when a worker wakes the log thread. A later count would not wake
 * the thread. */

#include <criterion/criterion.h>
#include <stdatomic.h>
#include <time.h>

#include "greetd/base/waker.h"
#include "greetd/journal/catalog.h"
#include "greetd/journal/logger.h"
#include "greetd/journal/writer.h"
#include "support/logger_fixture.h"

TestSuite(logger_wake, .timeout = 60);

static struct logger_fixture fixture;
static uint64_t dropped, messages_dropped; /* at the last wake */

/* A waker in place of that of the library: the thread never sleeps for long, and each wake keeps
 * the counts. */

int waker_init(struct waker *waker)
{
    *waker = (struct waker){.fd = -1};
    return 0;
}

void waker_deinit(struct waker *waker)
{
    (void)waker;
}

void waker_wake(struct waker *waker)
{
    (void)waker;
    if (!fixture.logger)
        return;
    dropped = metrics_log_dropped(fixture.metrics);
    messages_dropped = atomic_load(&fixture.logger->main.messages_dropped);
}

void waker_prepare(struct waker *waker)
{
    (void)waker;
}

void waker_cancel(struct waker *waker)
{
    (void)waker;
}

void waker_sleep(struct waker *waker, uint64_t deadline_usec)
{
    (void)waker, (void)deadline_usec;
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

Test(logger_wake, follows_the_count_of_a_dropped_connection)
{
    uint16_t port = 1;

    logger_fixture_open_blocked(&fixture, 1);
    for (; metrics_log_dropped(fixture.metrics) == 0; port++)
        logger_fixture_log(&fixture, 0, port);
    cr_assert_eq(dropped, 1);
    logger_fixture_unblock_and_stop(&fixture);
}

Test(logger_wake, follows_the_count_of_a_dropped_message)
{
    logger_fixture_open_blocked(&fixture, 1);
    while (atomic_load(&fixture.logger->main.messages_dropped) == 0)
        logger_log(fixture.logger, LOG_NOTICE, MESSAGE_ID_FAILED, "One more");
    cr_assert_eq(messages_dropped, 1);
    logger_fixture_unblock_and_stop(&fixture);
}
