/* SPDX-License-Identifier: MIT */
#include "greetd/control/reload.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "greetd/base/clock.h"
#include "support/config_fixture.h"
#include "support/fake_systemd.h"
#include "support/logger_options.h"
#include "support/net.h"

TestSuite(reload, .timeout = 60, .init = set_up, .fini = tear_down);

#define LISTEN "[Server]\nListenStream=\nListenStream=127.0.0.1:0\nWorkers=2\n"

struct fixture {
    struct config_options options;
    struct config *config;
    struct sockets sockets;
    struct sink sink;
    struct metrics *metrics;
    struct logger *logger;
    struct pool *pool;
    sd_event *event;
    struct status status;
    struct handshake handshake;
    struct messages messages;
    struct reload reload;
    unsigned n_activated;
};

static void write_conf(const char *text)
{
    temp_dir_write_text(&temp_dir, "greetd.conf", text);
}

static void on_activated(void *p)
{
    struct fixture *fixture = p;

    fixture->n_activated++;
}

static void open_fixture(struct fixture *fixture, const char *text)
{
    int error;

    *fixture = (struct fixture){.options.path = NULL};
    fake_systemd_open();
    fixture->config = load_text(text);
    fixture->options.path = strdup(temp_dir_write_text(&temp_dir, "greetd.conf", text));
    sink_init(&fixture->sink, memfd_create("log", MFD_CLOEXEC));
    cr_assert_eq(sockets_open(&fixture->sockets, fixture->config, &diagnostics), 0);
    cr_assert_eq(metrics_new(&fixture->metrics, 2), 0);
    cr_assert_eq(
        logger_start(&fixture->logger, &fixture->sink, fixture->metrics, &LOGGER_NO_CONNECTIONS),
        0);
    cr_assert_eq(pool_start(&fixture->pool, fixture->sockets.snapshot, 100, fixture->metrics,
                            fixture->logger),
                 0);
    while (pool_state(fixture->pool, &error) < WORKER_ACCEPTING)
        net_wait(pool_changed_fd(fixture->pool), POLLIN);
    cr_assert_eq(sd_event_new(&fixture->event), 0);
    cr_assert_eq(status_start(&fixture->status, fixture->event, fixture->pool, fixture->metrics),
                 0);
    cr_assert_eq(handshake_start(&fixture->handshake, fixture->event), 0);
    fixture->messages =
        messages_init(fixture->event, fixture->pool, fixture->logger, fixture->metrics);
    fixture->reload = (struct reload){
        .options = &fixture->options,
        .started = fixture->config,
        .sockets = &fixture->sockets,
        .pool = fixture->pool,
        .logger = fixture->logger,
        .metrics = fixture->metrics,
        .status = &fixture->status,
        .handshake = &fixture->handshake,
        .messages = &fixture->messages,
        .activated = on_activated,
        .userdata = fixture,
    };
    while (fake_systemd_receive())
        ;
}

/* Closes everything and returns the log, valid until the next call. */
static const char *close_fixture(struct fixture *fixture)
{
    static char text[64 * 1024];

    messages_deinit(&fixture->messages);
    handshake_deinit(&fixture->handshake);
    status_deinit(&fixture->status);
    sd_event_unref(fixture->event);
    cr_assert_eq(pool_end(fixture->pool, USEC_INFINITY), 0);
    cr_assert_eq(logger_stop(fixture->logger, USEC_INFINITY), 0);
    pool_free(fixture->pool);
    metrics_free(fixture->metrics);
    sockets_deinit(&fixture->sockets);
    config_unref(fixture->config);
    free((char *)fixture->options.path);
    ssize_t n = pread(fixture->sink.fd, text, sizeof(text) - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    close(fixture->sink.fd);
    return text;
}

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

static void expect_greeted(const struct fixture *fixture, const char *text)
{
    int client = net_connect(&fixture->sockets.snapshot->bindings[0].listener->address.in);

    net_expect_text(client, text);
    close(client);
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
