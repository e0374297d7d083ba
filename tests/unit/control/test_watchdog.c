/* SPDX-License-Identifier: MIT */
#include "greetd/base/clock.h"
#include "greetd/control/watchdog.h"

#include <inttypes.h>

#include "support/descriptors.h"
#include "support/fake_epoll_wait.h"
#include "support/fake_systemd.h"
#include "support/pool_fixture.h"

TestSuite(watchdog, .timeout = 60);

/* Sets the environment of a unit with WatchdogSec=. */
static void request_watchdog(uint64_t timeout_usec)
{
    char text[32];

    fake_systemd_open();
    snprintf(text, sizeof(text), "%" PRIu64, timeout_usec);
    setenv("WATCHDOG_USEC", text, 1);
    snprintf(text, sizeof(text), "%d", (int)getpid());
    setenv("WATCHDOG_PID", text, 1);
}

Test(watchdog, is_notified_while_all_workers_respond)
{
    struct pool_fixture fixture;
    struct watchdog watchdog;

    request_watchdog(400000);
    pool_fixture_open(&fixture, 3);
    uint64_t before = clock_now();
    cr_assert_eq(watchdog_start(&watchdog, fixture.event, fixture.pool, fixture.logger), 0);
    for (int i = 0; i < 4; i++)
        fake_systemd_await(fixture.event, "WATCHDOG=1");
    cr_assert_geq(clock_now() - before, 300000, "four times a period, not more often");
    watchdog_deinit(&watchdog);
    pool_fixture_close(&fixture);
}

/* Otherwise systemd would kill a greetd whose clients have all descriptors. */
Test(watchdog, is_notified_while_descriptors_are_short)
{
    struct pool_fixture fixture;
    struct watchdog watchdog;

    request_watchdog(400000);
    pool_fixture_open(&fixture, 1);
    cr_assert_eq(watchdog_start(&watchdog, fixture.event, fixture.pool, fixture.logger), 0);
    cr_assert(fake_systemd_has_received("WATCHDOG=1"), "the first one");
    /* It has the lowest number that was free. */
    struct rlimit limit = descriptors_deny_from((rlim_t)watchdog.spare_fd + 1);
    for (int i = 0; i < 4; i++)
        (void)sd_event_run(fixture.event, 1000000);
    descriptors_allow(limit);
    cr_assert(fake_systemd_has_received("WATCHDOG=1"));
    watchdog_deinit(&watchdog);
    pool_fixture_close(&fixture);
}

Test(watchdog, is_off_unless_systemd_requests_it)
{
    struct pool_fixture fixture;
    struct watchdog watchdog;

    fake_systemd_open();
    unsetenv("WATCHDOG_USEC");
    pool_fixture_open(&fixture, 1);
    cr_assert_eq(watchdog_start(&watchdog, fixture.event, fixture.pool, fixture.logger), 0);
    cr_assert_null(watchdog.timer);
    cr_assert_not(fake_systemd_receive());
    watchdog_deinit(&watchdog);
    pool_fixture_close(&fixture);
}

Test(watchdog, logs_a_stuck_worker_and_is_not_notified)
{
    struct pool_fixture fixture;
    struct watchdog watchdog;

    request_watchdog(200000);
    pool_fixture_open(&fixture, 2);
    atomic_store(&fake_epoll_wait.hangs, true);
    /* A worker that waits in the kernel returns, and hangs at its next call. */
    pool_ping(fixture.pool);
    NET_WAIT_UNTIL(atomic_load(&fake_epoll_wait.n_hanging) == 2);
    cr_assert_eq(watchdog_start(&watchdog, fixture.event, fixture.pool, fixture.logger), 0);
    cr_assert(fake_systemd_has_received("WATCHDOG=1"), "the first one");
    while (!watchdog.logged_stuck)
        cr_assert_gt(sd_event_run(fixture.event, (uint64_t)NET_BOUND_MSEC * 1000), 0);
    NET_WAIT_UNTIL(strstr(pool_fixture_logged(&fixture), "has not gone round its loop for 0."));
    cr_assert_not(fake_systemd_has_received("WATCHDOG=1"));
    cr_assert_gt(sd_event_run(fixture.event, (uint64_t)NET_BOUND_MSEC * 1000), 0);

    /* The log names it once. When it continues, the notifications continue. */
    atomic_store(&fake_epoll_wait.hangs, false);
    fake_systemd_await(fixture.event, "WATCHDOG=1");
    const char *first = strstr(pool_fixture_logged(&fixture), "Worker");
    cr_assert_not_null(first);
    cr_assert_null(strstr(first + 1, "Worker"));
    watchdog_deinit(&watchdog);
    pool_fixture_close(&fixture);
}
