/* SPDX-License-Identifier: MIT */
#include "greetd/control/reload.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "greetd/base/timeout_queue.h"
#include "support/config_fixture.h"
#include "support/fake_systemd.h"
#include "support/logger_options.h"
#include "support/net.h"

TestSuite(reload, .timeout = 60, .init = set_up, .fini = tear_down);

#define LISTEN "[Server]\nListenStream=\nListenStream=127.0.0.1:0\nWorkers=2\n"

struct scene {
    struct config_options options;
    struct config *config;
    struct sockets sockets;
    struct log log;
    struct connlog *connlog;
    struct pool *pool;
    sd_event *event;
    struct status status;
    struct reload reload;
};

static void write_conf(const char *text)
{
    scratch_write_text(&scratch, "greetd.conf", text);
}

static void open_scene(struct scene *scene, const char *text)
{
    int error;

    *scene = (struct scene){.options.path = NULL};
    manager_open();
    scene->config = load_text(text);
    scene->options.path = strdup(scratch_write_text(&scratch, "greetd.conf", text));
    log_init(&scene->log, memfd_create("log", MFD_CLOEXEC));
    cr_assert_eq(sockets_open(&scene->sockets, scene->config, &report), 0);
    cr_assert_eq(connlog_start(&scene->connlog, &scene->log, 2, &CONNLOG_NO_CONNECTIONS), 0);
    cr_assert_eq(pool_start(&scene->pool, scene->sockets.endpoints, 2, 100, scene->connlog), 0);
    while (pool_state(scene->pool, &error) < WORKER_ACCEPTING)
        net_wait(pool_changed_fd(scene->pool), POLLIN);
    cr_assert_eq(sd_event_new(&scene->event), 0);
    cr_assert_eq(status_start(&scene->status, scene->event, scene->pool), 0);
    scene->reload = (struct reload){
        .options = &scene->options,
        .started = scene->config,
        .sockets = &scene->sockets,
        .pool = scene->pool,
        .connlog = scene->connlog,
        .status = &scene->status,
    };
    while (manager_hear())
        ;
}

/* Ends everything, and returns what was logged. */
static const char *close_scene(struct scene *scene)
{
    static char text[64 * 1024];

    status_deinit(&scene->status);
    sd_event_unref(scene->event);
    cr_assert_eq(pool_end(scene->pool, DEADLINE_NEVER), 0);
    cr_assert_eq(connlog_stop(scene->connlog, DEADLINE_NEVER), 0);
    pool_free(scene->pool);
    sockets_deinit(&scene->sockets);
    config_unref(scene->config);
    free((char *)scene->options.path);
    ssize_t n = pread(scene->log.fd, text, sizeof(text) - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    close(scene->log.fd);
    return text;
}

static void go_on(struct scene *scene)
{
    if (reload_go_on(&scene->reload))
        reload_put_in_force(&scene->reload);
}

/* Reloads and waits until the workers have taken it up. Returns whether anything has changed. */
static bool reload(struct scene *scene)
{
    scene->reload.wanted = true;
    bool changed = reload_go_on(&scene->reload);

    if (changed)
        reload_put_in_force(&scene->reload);
    while (scene->reload.running) {
        net_wait(pool_changed_fd(scene->pool), POLLIN);
        (void)reload_go_on(&scene->reload);
    }
    return changed;
}

static void expect_greeted(const struct scene *scene, const char *text)
{
    int client = net_connect(&scene->sockets.endpoints->at[0].listener->address.in);
    char bytes[64];

    cr_assert_eq(net_read_to_end(client, bytes, sizeof(bytes)), (ssize_t)strlen(text));
    cr_assert_arr_eq(bytes, text, strlen(text));
    close(client);
}

Test(reload, puts_what_is_loaded_in_force_and_tells_systemd)
{
    struct scene scene;
    unsigned long long then;

    open_scene(&scene, LISTEN "[Greeting]\nMessage=one\n");
    expect_greeted(&scene, "one");
    uint64_t before = deadline_now();
    write_conf(LISTEN "[Log]\nConnections=yes\n[Greeting]\nMessage=two\n");
    cr_assert(reload(&scene));
    expect_greeted(&scene, "two");
    cr_assert(connlog_wants_connections(scene.connlog));

    cr_assert(manager_hear());
    cr_assert_eq(sscanf(manager.last, "RELOADING=1\nMONOTONIC_USEC=%llu", &then), 1);
    cr_assert_geq(then, before);
    cr_assert(manager_hear());
    cr_assert_str_eq(manager.last, "READY=1");
    cr_assert(strstr(close_scene(&scene), "Reloaded the configuration\n"));
}

static uint64_t n_reloads(const struct scene *scene, enum metrics_reload how)
{
    return atomic_load(&pool_metrics(scene->pool)->reloads[how]);
}

Test(reload, keeps_everything_if_anything_is_wrong)
{
    struct scene scene;

    open_scene(&scene, LISTEN "[Greeting]\nMessage=one\n");
    write_conf(LISTEN "[Greeting]\nMessage=two\nMesage=x\nLingerSec=y\n");
    cr_assert_not(reload(&scene));
    expect_greeted(&scene, "one");
    cr_assert(manager_heard("RELOADING=1"));
    cr_assert(manager_heard("READY=1"));
    manager_await(scene.event, "greetd.conf:7: Unknown setting Mesage=");
    cr_assert_eq(n_reloads(&scene, METRICS_RELOAD_FAILURE), 1);
    cr_assert_eq(n_reloads(&scene, METRICS_RELOAD_SUCCESS), 0);

    write_conf(LISTEN "[Greeting]\nMessage=two\n");
    cr_assert(reload(&scene));
    expect_greeted(&scene, "two");
    do
        manager_await(scene.event, "2 workers");
    while (strstr(manager.last, "failed"));
    cr_assert_eq(n_reloads(&scene, METRICS_RELOAD_FAILURE), 1);
    cr_assert_eq(n_reloads(&scene, METRICS_RELOAD_SUCCESS), 1);
    const char *log = close_scene(&scene);
    cr_assert(strstr(log, "greetd.conf:7: Unknown setting Mesage="));
    cr_assert(strstr(log, "greetd.conf:8: LingerSec=y: "));
    cr_assert(strstr(log, "Reload failed, the configuration in force stays\n"));
}

Test(reload, says_what_has_to_wait_for_a_restart)
{
    struct scene scene;

    open_scene(&scene, LISTEN "MaxConnections=50\n");
    write_conf("[Server]\nListenStream=127.0.0.1:0\nWorkers=auto\n[Greeting]\nMessage=two\n");
    cr_assert(reload(&scene));
    expect_greeted(&scene, "two");
    const char *log = close_scene(&scene);
    cr_assert(strstr(log, "Workers= stays at 2 until the next restart\n"));
    cr_assert(strstr(log, "MaxConnections= stays at 50 until the next restart\n"));
}

Test(reload, waits_for_the_one_before)
{
    struct scene scene;

    open_scene(&scene, LISTEN "[Greeting]\nMessage=one\n");
    pool_post(scene.pool, WORKER_HOLD);
    pool_post(scene.pool, WORKER_RESUME);
    for (int i = 0; i < 20; i++) {
        scene.reload.wanted = true;
        go_on(&scene);
        (void)manager_heard("nothing");
    }
    write_conf(LISTEN "[Greeting]\nMessage=last\n");
    scene.reload.wanted = true;
    while (scene.reload.wanted || scene.reload.running) {
        go_on(&scene);
        (void)manager_heard("nothing");
    }
    expect_greeted(&scene, "last");
    (void)close_scene(&scene);
}

Test(reload, tells_which_addresses_come_and_which_section_is_of_no_use)
{
    struct scene scene;

    open_scene(&scene, LISTEN);
    write_conf(LISTEN "IdleExitSec=5\n[Listener b]\nListenStream=127.0.0.1:0\n[Listener c]\n");
    cr_assert(reload(&scene));
    cr_assert_eq(scene.sockets.endpoints->n, 2);
    const char *log = close_scene(&scene);
    const char *first = strstr(log, "Server is listening on 127.0.0.1:");
    cr_assert_not_null(first);
    cr_assert_null(strstr(first + 1, "Server is listening on"), "only of the new one");
    cr_assert(strstr(log, "[Listener c] is not used"));
    cr_assert(strstr(log, "IdleExitSec= has no effect: systemd passed no socket"));
}
