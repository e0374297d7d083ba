/* SPDX-License-Identifier: MIT */
#include "greetd/control/control.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>

#include "greetd/base/processors.h"
#include "greetd/base/timeout_queue.h"
#include "greetd/control/failure.h"
#include "greetd/control/handshake.h"
#include "greetd/control/idle_exit.h"
#include "greetd/control/reload.h"
#include "greetd/control/signals.h"
#include "greetd/control/status.h"
#include "greetd/control/watchdog.h"
#include "greetd/journal/logger.h"
#include "greetd/listen/sockets.h"
#include "greetd/worker/pool.h"

/* At the end, how long workers may take to let go of their clients, and then the log to take what
 * is left. */
#define CONTROL_WORKERS_USEC 2000000
#define CONTROL_LOG_USEC     1000000

struct control {
    struct config *config;                /* borrowed: the one that it started with */
    const struct config_options *options; /* borrowed */
    struct log *log;                      /* borrowed: the one behind connlog */
    struct sockets sockets;
    struct report opening; /* what happened when they were opened */
    struct connlog *connlog;
    struct pool *pool;
    sd_event *event;
    struct status status;
    struct watchdog watchdog;
    struct idle idle;
    struct reload reload;
    struct handshake handshake;
    unsigned n_workers;
    bool ready, stopping;
};

/* The settings in force. */
static const struct server_settings *settings(const struct control *control)
{
    return config_server(control->sockets.endpoints->config);
}

/* Starting */

static unsigned choose_n_workers(const struct server_settings *server)
{
    return server->workers > 0 ? (unsigned)server->workers : processors_available();
}

/* A client is a descriptor. The limit that programs start with is for those that still use
 * select(2). */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

/* Stopping */

static int on_stop_timer(sd_event_source *source, uint64_t usec, void *p)
{
    struct control *control = p;
    struct metrics_sums sums = pool_sums(control->pool);
    uint64_t active = metrics_active(&sums);

    (void)source;
    (void)usec;
    if (active > 0)
        connlog_message(control->connlog, LOG_WARNING, LOG_ID_STOP_FORCED,
                        "Stopping now: %" PRIu64 " client%s did not finish in time", active,
                        active == 1 ? "" : "s");
    return sd_event_exit(control->event, 0);
}

/* systemd waits for longer than TimeoutStopSec= if it is asked to. */
static void tell_stopping(uint64_t timeout_usec)
{
    if (timeout_usec == DEADLINE_NEVER)
        sd_notify(false, "STOPPING=1");
    else
        sd_notifyf(false, "STOPPING=1\nEXTEND_TIMEOUT_USEC=%" PRIu64,
                   deadline_after(timeout_usec, CONTROL_WORKERS_USEC + CONTROL_LOG_USEC));
}

static void stop_workers(void *pool)
{
    pool_post(pool, WORKER_STOP);
}

/* Sockets of our own are closed soon, so clients in their queue, and those that are about to come
 * into it, are greeted first. */
static void leave_sockets(struct control *control)
{
    sockets_drop_newcomers(&control->sockets, NULL);
    handshake_await(&control->handshake, control->sockets.endpoints, NULL, stop_workers,
                    control->pool);
}

/* A reload that is about to come into force does so first: clients may wait at its new sockets. */
static int begin_stop(struct control *control)
{
    uint64_t timeout_usec = settings(control)->stop_timeout_usec;

    control->stopping = true;
    tell_stopping(timeout_usec);
    status_stopping(&control->status);
    if (!control->reload.endpoints)
        leave_sockets(control);
    return sd_event_add_time(control->event, NULL, CLOCK_MONOTONIC,
                             deadline_after(deadline_now(), timeout_usec), 1000, on_stop_timer,
                             control);
}

static int on_stop_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *p)
{
    struct control *control = p;

    (void)source;
    (void)info;
    return control->stopping ? sd_event_exit(control->event, 0) : begin_stop(control);
}

static void on_idle(void *p)
{
    struct control *control = p;
    double idle_sec = (double)settings(control)->idle_exit_usec / 1e6;

    connlog_message(control->connlog, LOG_INFO, LOG_ID_IDLE,
                    "No client for %.6gs: exiting until the next one comes", idle_sec);
    (void)begin_stop(control);
}

/* Reloading */

/* Who has opened its sockets itself would not be started again for the next client. */
static void set_idle_timeout(struct control *control)
{
    if (control->sockets.inherited)
        idle_set_timeout(&control->idle, settings(control)->idle_exit_usec);
}

static void put_in_force(void *p)
{
    struct control *control = p;

    reload_put_in_force(&control->reload);
    set_idle_timeout(control);
    if (control->stopping)
        leave_sockets(control);
}

static void go_on_reloading(struct control *control)
{
    if (!reload_go_on(&control->reload))
        return;
    sockets_drop_newcomers(&control->sockets, control->reload.endpoints);
    handshake_await(&control->handshake, control->sockets.endpoints, control->reload.endpoints,
                    put_in_force, control);
}

static int on_reload_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *p)
{
    struct control *control = p;

    (void)source;
    (void)info;
    control->reload.wanted = true;
    if (control->ready && !control->stopping)
        go_on_reloading(control);
    return 0;
}

/* What a reload has prepared may have one of them back. */
static void close_left(struct control *control)
{
    char address[ADDRESS_TEXT_MAX];

    while (!control->reload.endpoints && sockets_close_left(&control->sockets, address))
        connlog_message(control->connlog, LOG_INFO, LOG_ID_NO_LONGER,
                        "Server no longer listens on %s", address);
}

/* Running */

static void become_ready(struct control *control)
{
    control->ready = true;
    sd_notify(false, "READY=1");
    set_idle_timeout(control);
}

static void go_on_running(struct control *control)
{
    status_changed(&control->status);
    if (control->stopping)
        return;
    go_on_reloading(control);
    close_left(control);
    idle_pool_changed(&control->idle);
}

static int on_pool_changed(sd_event_source *source, int fd, uint32_t events, void *p)
{
    struct control *control = p;
    int error;

    (void)source;
    (void)fd;
    (void)events;
    switch (pool_state(control->pool, &error)) {
    case WORKER_STARTING:
        return 0;
    case WORKER_ACCEPTING:
        if (!control->ready && !control->stopping)
            become_ready(control);
        go_on_running(control);
        return 0;
    case WORKER_DRAINING:
        status_changed(&control->status);
        sockets_close_unused(&control->sockets);
        return 0;
    case WORKER_ENDED:
        return sd_event_exit(control->event, 0);
    case WORKER_FAILED:
        return sd_event_exit(control->event, failure_report(control->log, control->connlog,
                                                            "A worker failed", error));
    }
    return 0;
}

static int add_signals(struct control *control)
{
    int r = sd_event_add_signal(control->event, NULL, SIGTERM, on_stop_signal, control);

    if (r >= 0)
        r = sd_event_add_signal(control->event, NULL, SIGINT, on_stop_signal, control);
    if (r >= 0)
        r = sd_event_add_signal(control->event, NULL, SIGHUP, on_reload_signal, control);
    return r;
}

static int watch_pool(struct control *control)
{
    int r = sd_event_add_io(control->event, NULL, pool_changed_fd(control->pool), EPOLLIN,
                            on_pool_changed, control);

    if (r >= 0)
        r = status_start(&control->status, control->event, control->pool);
    if (r >= 0)
        r = watchdog_start(&control->watchdog, control->event, control->pool, control->connlog);
    if (r >= 0)
        r = handshake_start(&control->handshake, control->event);
    if (r >= 0)
        r = idle_start(&control->idle, control->event, control->pool, &control->sockets, on_idle,
                       control);
    return r;
}

static void prepare_reload(struct control *control)
{
    control->reload = (struct reload){
        .options = control->options,
        .started = control->config,
        .sockets = &control->sockets,
        .pool = control->pool,
        .connlog = control->connlog,
        .status = &control->status,
    };
}

static void stop_watching(struct control *control)
{
    idle_deinit(&control->idle);
    handshake_deinit(&control->handshake);
    watchdog_deinit(&control->watchdog);
    status_deinit(&control->status);
}

/* Starts the workers and stays in the event loop. */
static int serve(struct control *control)
{
    const struct server_settings *server = settings(control);
    int r;

    reload_log_unusable(control->connlog, &control->opening);
    reload_log_listening(control->connlog, control->sockets.endpoints, NULL);
    reload_log_unused(control->connlog, control->config, &control->sockets);
    reload_log_unkept(control->connlog, &control->sockets);
    r = pool_start(&control->pool, control->sockets.endpoints, control->n_workers,
                   server->max_connections, control->connlog);
    if (r >= 0)
        r = watch_pool(control);
    if (r < 0)
        return failure_report(control->log, control->connlog, "Failed to start the workers", r);
    prepare_reload(control);
    r = sd_event_loop(control->event);
    return r < 0 ? failure_report(control->log, control->connlog, "The event loop failed", r) : r;
}

/* Threads end in the order in which they need each other: workers write to the log. */
static void end_threads(struct control *control)
{
    bool workers_end =
        !control->pool || pool_end(control->pool, deadline_now() + CONTROL_WORKERS_USEC) >= 0;

    if (!control->connlog)
        return;
    if (!workers_end)
        connlog_message(control->connlog, LOG_CRIT, LOG_ID_STUCK,
                        "A worker does not end: leaving without it");
    uint64_t deadline_usec = deadline_now() + CONTROL_LOG_USEC;
    int r = workers_end ? connlog_stop(control->connlog, deadline_usec)
                        : connlog_end(control->connlog, deadline_usec);
    control->log->abandoned = r < 0 || !workers_end;
}

/* Returns the exit status. */
static int run_event_loop(struct control *control)
{
    int r = sd_event_new(&control->event);

    if (r >= 0)
        r = add_signals(control);
    if (r < 0)
        return failure_report(control->log, control->connlog, "Failed to prepare the event loop",
                              r);
    r = serve(control);
    stop_watching(control);
    return r;
}

/* Returns the exit status. OPENED is from sockets_open(), STARTED is from connlog_start(). */
static int run(struct control *control, int opened, int started)
{
    if (opened < 0)
        return failure_report_lines(control->log, control->connlog, &control->opening, opened);
    if (started < 0)
        return failure_report(control->log, control->connlog,
                              "Failed to start the thread of the log", started);
    return run_event_loop(control);
}

int control_run(struct config *config, const struct config_options *options, struct log *log)
{
    const struct connlog_options log_options = reload_log_options(config);
    struct control control = {
        .config = config,
        .options = options,
        .log = log,
        .n_workers = choose_n_workers(config_server(config)),
    };

    /* From now on a stop is heard by the event loop, and all threads have it blocked. */
    signals_block();
    /* Sockets before any other descriptor, which could take the number of one that is missing. */
    int opened = sockets_open(&control.sockets, config, &control.opening);

    raise_descriptor_limit();
    int started = connlog_start(&control.connlog, log, control.n_workers, &log_options);
    int status = run(&control, opened, started);

    end_threads(&control);
    if (log->abandoned)
        return status;
    reload_deinit(&control.reload);
    pool_free(control.pool);
    sockets_deinit(&control.sockets);
    report_deinit(&control.opening);
    sd_event_unref(control.event);
    return status;
}

int control_reject(struct log *log, const struct report *report, int error)
{
    const struct connlog_options everything = {.level = LOG_DEBUG};
    struct control control = {.log = log};

    signals_block();
    (void)connlog_start(&control.connlog, log, 0, &everything);
    int status = failure_report_lines(log, control.connlog, report, error);

    end_threads(&control);
    return status;
}
