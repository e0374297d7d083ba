/* SPDX-License-Identifier: MIT */
#include "greetd/control/reload.h"

#include <netinet/tcp.h>

#include "greetd/base/clock.h"
#include "support/control_fixture.h"
#include "support/seccomp_deny.h"

TestSuite(reload, .timeout = 60, .init = set_up, .fini = tear_down);

/* Reloads and waits until the workers have adopted the snapshot. Returns whether a new
 * configuration is in force. */
static bool reload(struct fixture *fixture)
{
    unsigned n_activated = fixture->n_activated;

    fixture->reload.requested = true;
    reload_advance(&fixture->reload);
    while (fixture->reload.state != RELOAD_IDLE) {
        net_wait(pool_changed_fd(fixture->pool), POLLIN);
        reload_advance(&fixture->reload);
    }
    return fixture->n_activated > n_activated;
}

Test(reload, puts_the_new_configuration_in_force_and_notifies_systemd)
{
    struct fixture fixture;
    unsigned long long then;

    open_fixture(&fixture, LISTEN "[Greeting]\nMessage=one\n");
    expect_greeted(&fixture, "one");
    uint64_t before = clock_now();
    write_conf(LISTEN "[Log]\nConnections=yes\n[Greeting]\nMessage=two\n");
    cr_assert(reload(&fixture));
    expect_greeted(&fixture, "two");
    cr_assert(logger_wants_connections(fixture.logger));

    cr_assert(fake_systemd_receive());
    cr_assert_eq(sscanf(fake_systemd.last, "RELOADING=1\nMONOTONIC_USEC=%llu", &then), 1);
    cr_assert_geq(then, before);
    cr_assert(fake_systemd_receive());
    cr_assert_str_eq(fake_systemd.last, "READY=1");
    cr_assert(strstr(close_fixture(&fixture), "Reloaded the configuration\n"));
}

static uint64_t n_reloads(const struct fixture *fixture, enum metrics_outcome result)
{
    return atomic_load(&fixture->metrics->reloads[result]);
}

Test(reload, keeps_everything_if_anything_is_wrong)
{
    struct fixture fixture;

    open_fixture(&fixture, LISTEN "[Greeting]\nMessage=one\n");
    write_conf(LISTEN "[Greeting]\nMessage=two\nMesage=x\nLingerSec=y\n");
    cr_assert_not(reload(&fixture));
    expect_greeted(&fixture, "one");
    cr_assert(fake_systemd_has_received("RELOADING=1"));
    cr_assert(fake_systemd_has_received("READY=1"));
    fake_systemd_await(fixture.event, "greetd.conf:7: Unknown setting Mesage=");
    cr_assert_eq(n_reloads(&fixture, METRICS_FAILURE), 1);
    cr_assert_eq(n_reloads(&fixture, METRICS_SUCCESS), 0);

    write_conf(LISTEN "[Greeting]\nMessage=two\n");
    cr_assert(reload(&fixture));
    expect_greeted(&fixture, "two");
    do
        fake_systemd_await(fixture.event, "2 workers");
    while (strstr(fake_systemd.last, "failed"));
    cr_assert_eq(n_reloads(&fixture, METRICS_FAILURE), 1);
    cr_assert_eq(n_reloads(&fixture, METRICS_SUCCESS), 1);
    const char *log = close_fixture(&fixture);
    cr_assert(strstr(log, "greetd.conf:7: Unknown setting Mesage="));
    cr_assert(strstr(log, "greetd.conf:8: LingerSec=y: "));
    cr_assert(strstr(log, "Reload failed, the configuration in force stays\n"));
}

Test(reload, logs_settings_that_need_a_restart)
{
    struct fixture fixture;

    open_fixture(&fixture, LISTEN "MaxConnections=50\n");
    write_conf("[Server]\nListenStream=127.0.0.1:0\nWorkers=auto\n[Greeting]\nMessage=two\n");
    cr_assert(reload(&fixture));
    expect_greeted(&fixture, "two");
    const char *log = close_fixture(&fixture);
    cr_assert(strstr(log, "Workers= stays at 2 until the next restart\n"));
    cr_assert(strstr(log, "MaxConnections= stays at 50 until the next restart\n"));
}

Test(reload, waits_for_the_earlier_reload)
{
    struct fixture fixture;

    open_fixture(&fixture, LISTEN "[Greeting]\nMessage=one\n");
    pool_post(fixture.pool, WORKER_HOLD);
    pool_post(fixture.pool, WORKER_RESUME);
    for (int i = 0; i < 20; i++) {
        fixture.reload.requested = true;
        reload_advance(&fixture.reload);
        (void)fake_systemd_has_received("nothing");
    }
    write_conf(LISTEN "[Greeting]\nMessage=last\n");
    fixture.reload.requested = true;
    while (fixture.reload.requested || fixture.reload.state != RELOAD_IDLE) {
        reload_advance(&fixture.reload);
        (void)fake_systemd_has_received("nothing");
    }
    expect_greeted(&fixture, "last");
    (void)close_fixture(&fixture);
}

Test(reload, logs_new_addresses_and_unused_sections)
{
    struct fixture fixture;

    open_fixture(&fixture, LISTEN);
    write_conf(LISTEN "IdleExitSec=5\n[Listener b]\nListenStream=127.0.0.1:0\n[Listener c]\n");
    cr_assert(reload(&fixture));
    cr_assert_eq(fixture.sockets.snapshot->n, 2);
    const char *log = close_fixture(&fixture);
    const char *first = strstr(log, "Server is listening on 127.0.0.1:");
    cr_assert_not_null(first);
    cr_assert_null(strstr(first + 1, "Server is listening on"), "only the new address is logged");
    cr_assert(strstr(log, "[Listener c] is not used"));
    cr_assert(strstr(log, "IdleExitSec= has no effect: systemd passed no socket"));
}

Test(reload, logs_that_fast_open_could_not_be_set)
{
    struct fixture fixture;

    open_fixture(&fixture, LISTEN);
    write_conf(LISTEN "FastOpen=yes\n[Greeting]\nMessage=two\n");
    seccomp_deny(SYS_setsockopt, 2, TCP_FASTOPEN, EPERM);
    cr_assert(reload(&fixture));
    expect_greeted(&fixture, "two");
    cr_assert(strstr(close_fixture(&fixture), "Failed to set FastOpen=: Operation not permitted"));
}
