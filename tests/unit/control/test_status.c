/* SPDX-License-Identifier: MIT */
#include "greetd/base/clock.h"
#include "greetd/control/status.h"

#include "support/descriptors.h"
#include "support/fake_systemd.h"
#include "support/pool_fixture.h"

TestSuite(status, .timeout = 60);

struct fixture {
    struct pool_fixture workers;
    struct status status;
};

static void open_fixture(struct fixture *fixture, size_t n_workers)
{
    fake_systemd_open();
    pool_fixture_open(&fixture->workers, n_workers);
    cr_assert_eq(status_start(&fixture->status, fixture->workers.event, fixture->workers.pool,
                              fixture->workers.metrics),
                 0);
}

static void close_fixture(struct fixture *fixture)
{
    status_deinit(&fixture->status);
    pool_fixture_close(&fixture->workers);
}

Test(status, has_the_numbers_of_clients_and_workers)
{
    struct fixture fixture;

    open_fixture(&fixture, 2);
    fake_systemd_await(fixture.workers.event,
                       "STATUS=Greeting 0 clients; 0 greeted, 0 refused; 2 workers");
    pool_fixture_greet(&fixture.workers);
    status_changed(&fixture.status);
    fake_systemd_await(fixture.workers.event,
                       "STATUS=Greeting 0 clients; 1 greeted, 0 refused; 2 workers");
    status_stopping(&fixture.status);
    cr_assert(fake_systemd_has_received("STATUS=Stopping, 0 clients; 1 greeted"));
    close_fixture(&fixture);
}

Test(status, is_sent_at_most_once_a_second)
{
    struct fixture fixture;

    open_fixture(&fixture, 1);
    fake_systemd_await(fixture.workers.event, "0 greeted");
    uint64_t before = clock_now();
    pool_fixture_greet(&fixture.workers);
    status_changed(&fixture.status);
    fake_systemd_await(fixture.workers.event, "1 greeted");
    cr_assert_geq(clock_now() - before, 900000);
    close_fixture(&fixture);
}

Test(status, needs_no_timer_while_nothing_changes)
{
    struct fixture fixture;
    int enabled;

    open_fixture(&fixture, 1);
    fake_systemd_await(fixture.workers.event, "0 greeted");
    cr_assert_eq(sd_event_source_get_enabled(fixture.status.timer, &enabled), 0);
    cr_assert_eq(enabled, SD_EVENT_OFF);

    /* The next client makes the descriptor readable. */
    int error;
    (void)pool_state(fixture.workers.pool, &error);
    pool_fixture_greet(&fixture.workers);
    net_wait(pool_changed_fd(fixture.workers.pool), POLLIN);
    close_fixture(&fixture);
}

Test(status, has_the_problem_until_it_is_solved)
{
    struct fixture fixture;

    open_fixture(&fixture, 1);
    fake_systemd_await(fixture.workers.event, "1 worker");
    uint64_t before = clock_now();
    status_trouble(&fixture.status, "last reload failed: a:1: b");
    fake_systemd_await(fixture.workers.event, "1 worker; last reload failed: a:1: b");
    cr_assert_geq(clock_now() - before, 900000, "no sooner than any other change");
    status_trouble(&fixture.status, NULL);
    fake_systemd_await(fixture.workers.event,
                       "STATUS=Greeting 0 clients; 0 greeted, 0 refused; 1 worker");
    int enabled;
    status_trouble(&fixture.status, NULL);
    cr_assert_eq(sd_event_source_get_enabled(fixture.status.timer, &enabled), 0);
    cr_assert_eq(enabled, SD_EVENT_OFF, "nothing has changed");
    close_fixture(&fixture);
}

Test(status, has_the_sources_until_they_are_gone)
{
    static const struct source_limits limits = {
        .max_connections = UINT64_MAX, .interval_usec = 3000000, .burst = 1};
    struct fixture fixture;

    open_fixture(&fixture, 1);
    fixture.workers.net.configs[0].limits = &limits;
    pool_fixture_greet(&fixture.workers);
    status_changed(&fixture.status);
    fake_systemd_await(fixture.workers.event, "; 1 worker; 1 of 131076 sources");
    cr_expect_eq(fixture.workers.metrics->sources.known, 1);
    cr_expect_eq(fixture.workers.metrics->sources.capacity, 131076);
    /* No client is needed for that. */
    fake_systemd_await(fixture.workers.event,
                       "STATUS=Greeting 0 clients; 1 greeted, 0 refused; 1 worker");
    cr_expect_eq(fixture.workers.metrics->sources.known, 0);
    close_fixture(&fixture);
}

/* Opens the fixture, with no descriptor left to send messages with. */
static struct rlimit open_without_descriptors(struct fixture *fixture)
{
    open_fixture(fixture, 1);
    fake_systemd_await(fixture->workers.event, "1 worker");
    return descriptors_deny();
}

/* systemd waits for these messages. */
Test(status, sends_again_what_systemd_waits_for)
{
    struct fixture fixture;
    struct rlimit limit = open_without_descriptors(&fixture);

    status_reloading(&fixture.status);
    status_ready(&fixture.status);
    descriptors_allow(limit);
    cr_assert_not(fake_systemd_receive());
    fake_systemd_await(fixture.workers.event, "RELOADING=1\nMONOTONIC_USEC=");
    fake_systemd_await(fixture.workers.event, "READY=1");
    close_fixture(&fixture);
}

Test(status, sends_again_that_it_is_ready)
{
    struct fixture fixture;
    struct rlimit limit = open_without_descriptors(&fixture);

    status_ready(&fixture.status);
    descriptors_allow(limit);
    fake_systemd_await(fixture.workers.event, "READY=1");
    close_fixture(&fixture);
}

/* Without this message systemd kills greetd after TimeoutStopSec=. */
Test(status, sends_again_how_long_a_stop_takes)
{
    struct fixture fixture;
    struct rlimit limit = open_without_descriptors(&fixture);

    status_stop(&fixture.status, 20000000);
    descriptors_allow(limit);
    fake_systemd_await(fixture.workers.event, "STOPPING=1\nEXTEND_TIMEOUT_USEC=20000000");
    close_fixture(&fixture);
}

Test(status, sends_again_a_status_that_could_not_be_sent)
{
    struct fixture fixture;
    struct rlimit limit = open_without_descriptors(&fixture);

    status_stopping(&fixture.status);
    descriptors_allow(limit);
    fake_systemd_await(fixture.workers.event, "STATUS=Stopping");
    close_fixture(&fixture);
}
