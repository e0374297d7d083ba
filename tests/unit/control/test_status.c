/* SPDX-License-Identifier: MIT */
#include "greetd/base/clock.h"
#include "greetd/control/status.h"

#include "support/fake_systemd.h"
#include "support/pool_fixture.h"

TestSuite(status, .timeout = 60);

Test(status, has_the_numbers_of_clients_and_workers)
{
    struct pool_fixture fixture;
    struct status status;

    fake_systemd_open();
    pool_fixture_open(&fixture, 2);
    cr_assert_eq(status_start(&status, fixture.event, fixture.pool, fixture.metrics), 0);
    fake_systemd_await(fixture.event, "STATUS=Greeting 0 clients; 0 greeted, 0 refused; 2 workers");
    pool_fixture_greet(&fixture);
    status_changed(&status);
    fake_systemd_await(fixture.event, "STATUS=Greeting 0 clients; 1 greeted, 0 refused; 2 workers");
    status_stopping(&status);
    cr_assert(fake_systemd_has_received("STATUS=Stopping, 0 clients; 1 greeted"));
    status_deinit(&status);
    pool_fixture_close(&fixture);
}

Test(status, is_sent_at_most_once_a_second)
{
    struct pool_fixture fixture;
    struct status status;

    fake_systemd_open();
    pool_fixture_open(&fixture, 1);
    cr_assert_eq(status_start(&status, fixture.event, fixture.pool, fixture.metrics), 0);
    fake_systemd_await(fixture.event, "0 greeted");
    uint64_t before = clock_now();
    pool_fixture_greet(&fixture);
    status_changed(&status);
    fake_systemd_await(fixture.event, "1 greeted");
    cr_assert_geq(clock_now() - before, 900000);
    status_deinit(&status);
    pool_fixture_close(&fixture);
}

Test(status, needs_no_timer_while_nothing_changes)
{
    struct pool_fixture fixture;
    struct status status;
    int enabled;

    fake_systemd_open();
    pool_fixture_open(&fixture, 1);
    cr_assert_eq(status_start(&status, fixture.event, fixture.pool, fixture.metrics), 0);
    fake_systemd_await(fixture.event, "0 greeted");
    cr_assert_eq(sd_event_source_get_enabled(status.timer, &enabled), 0);
    cr_assert_eq(enabled, SD_EVENT_OFF);

    /* The next client makes the descriptor readable. */
    int error;
    (void)pool_state(fixture.pool, &error);
    pool_fixture_greet(&fixture);
    net_wait(pool_changed_fd(fixture.pool), POLLIN);
    status_deinit(&status);
    pool_fixture_close(&fixture);
}

Test(status, has_the_problem_until_it_is_solved)
{
    struct pool_fixture fixture;
    struct status status;

    fake_systemd_open();
    pool_fixture_open(&fixture, 1);
    cr_assert_eq(status_start(&status, fixture.event, fixture.pool, fixture.metrics), 0);
    fake_systemd_await(fixture.event, "1 worker");
    uint64_t before = clock_now();
    status_trouble(&status, "last reload failed: a:1: b");
    fake_systemd_await(fixture.event, "1 worker; last reload failed: a:1: b");
    cr_assert_geq(clock_now() - before, 900000, "no sooner than any other change");
    status_trouble(&status, NULL);
    fake_systemd_await(fixture.event, "STATUS=Greeting 0 clients; 0 greeted, 0 refused; 1 worker");
    int enabled;
    status_trouble(&status, NULL);
    cr_assert_eq(sd_event_source_get_enabled(status.timer, &enabled), 0);
    cr_assert_eq(enabled, SD_EVENT_OFF, "nothing has changed");
    status_deinit(&status);
    pool_fixture_close(&fixture);
}
