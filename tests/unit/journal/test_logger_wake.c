/* SPDX-License-Identifier: MIT */

/* What has been counted when the log's thread is woken: later it may be asleep for good. */

#include <criterion/criterion.h>
#include <stdatomic.h>
#include <time.h>

#include "greetd/journal/logger.h"
#include "greetd/journal/writer.h"
#include "support/logger_fixture.h"

TestSuite(connlog_wake, .timeout = 60);

static struct scene scene;
static uint64_t left_out, messages_left_out; /* at the last wake */

/* Stands in for the module: a thread that is never quite asleep, and notes of when it is woken. */

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
    if (!scene.connlog)
        return;
    left_out = connlog_left_out(scene.connlog);
    messages_left_out = atomic_load(&scene.connlog->messages.messages_left_out);
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

Test(connlog_wake, comes_after_a_connection_was_counted)
{
    uint16_t port = 1;

    start_stuck(&scene, 1);
    for (; connlog_left_out(scene.connlog) == 0; port++)
        log_connection(&scene, 0, port);
    cr_assert_eq(left_out, 1);
    go_on_and_stop(&scene);
}

Test(connlog_wake, comes_after_a_message_was_counted)
{
    start_stuck(&scene, 1);
    while (atomic_load(&scene.connlog->messages.messages_left_out) == 0)
        connlog_message(scene.connlog, LOG_NOTICE, LOG_ID_FAILED, "One more");
    cr_assert_eq(messages_left_out, 1);
    go_on_and_stop(&scene);
}
