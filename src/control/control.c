/* SPDX-License-Identifier: MIT */
#include "greetd/control/control.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>

#include "greetd/base/clock.h"
#include "greetd/base/processors.h"
#include "greetd/control/failure.h"
#include "greetd/control/handshake.h"
#include "greetd/control/idle_exit.h"
#include "greetd/control/reload.h"
#include "greetd/control/signals.h"
#include "greetd/control/status.h"
#include "greetd/control/watchdog.h"
#include "greetd/journal/catalog.h"
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
    struct sink *sink;                    /* borrowed: the one behind connlog */
    struct sockets sockets;
    struct diagnostics opening; /* what happened when they were opened */
    struct logger *logger;
    struct pool *pool;
    sd_event *event;
    struct status status;
    struct watchdog watchdog;
    struct idle_exit idle_exit;
    struct reload reload;
    struct handshake handshake;
    unsigned n_workers;
    bool ready, stopping;
};

/* The settings in force. */
static const struct server_settings *settings(const struct control *control)
{
    return config_server(control->sockets.snapshot->config);
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
        logger_log(control->logger, LOG_WARNING, MESSAGE_ID_STOP_FORCED,
                   "Stopping now: %" PRIu64 " client%s did not finish in time", active,
                   active == 1 ? "" : "s");
    return sd_event_exit(control->event, 0);
}

/* systemd waits for longer than TimeoutStopSec= if it is asked to. */
static void notify_stopping(uint64_t timeout_usec)
{
    if (timeout_usec == USEC_INFINITY)
        sd_notify(false, "STOPPING=1");
    else
        sd_notifyf(false, "STOPPING=1\nEXTEND_TIMEOUT_USEC=%" PRIu64,
                   usec_add(timeout_usec, CONTROL_WORKERS_USEC + CONTROL_LOG_USEC));
}

static void stop_workers(void *pool)
{
    pool_post(pool, WORKER_STOP);
}

/* Sockets of our own are closed soon, so clients in their queue, and those that are about to come
 * into it, are greeted first. */
static void leave_sockets(struct control *control)
{
    sockets_drop_syn(&control->sockets, NULL);
    handshake_await(&control->handshake, control->sockets.snapshot, NULL, stop_workers,
                    control->pool);
}

/* A reload that is about to come into force does so first: clients may wait at its new sockets. */
static int begin_stop(struct control *control)
{
    uint64_t timeout_usec = settings(control)->stop_timeout_usec;

    control->stopping = true;
    notify_stopping(timeout_usec);
    status_stopping(&control->status);
    if (!control->reload.snapshot)
        leave_sockets(control);
    return sd_event_add_time(control->event, NULL, CLOCK_MONOTONIC,
                             usec_add(clock_now(), timeout_usec), 1000, on_stop_timer, control);
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

    logger_log(control->logger, LOG_INFO, MESSAGE_ID_IDLE_EXIT,
               "No client for %.6gs: exiting until the next one comes", idle_sec);
    (void)begin_stop(control);
}

/* Reloading */

/* Who has opened its sockets itself would not be started again for the next client. */
static void set_idle_timeout(struct control *control)
{
    if (control->sockets.inherited)
        idle_exit_set_timeout(&control->idle_exit, settings(control)->idle_exit_usec);
}

static void activate_reload(void *p)
{
    struct control *control = p;

    reload_activate(&control->reload);
    set_idle_timeout(control);
    if (control->stopping)
        leave_sockets(control);
}

static void advance_reload(struct control *control)
{
    if (!reload_advance(&control->reload))
        return;
    sockets_drop_syn(&control->sockets, control->reload.snapshot);
    handshake_await(&control->handshake, control->sockets.snapshot, control->reload.snapshot,
                    activate_reload, control);
}

static int on_reload_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *p)
{
    struct control *control = p;

    (void)source;
    (void)info;
    control->reload.wanted = true;
    if (control->ready && !control->stopping)
        advance_reload(control);
    return 0;
}

/* What a reload has prepared may have one of them back. */
static void close_left(struct control *control)
{
    char address[ADDRESS_TEXT_MAX];

    while (!control->reload.snapshot && sockets_close_left(&control->sockets, address))
        logger_log(control->logger, LOG_INFO, MESSAGE_ID_NOT_LISTENING,
                   "Server no longer listens on %s", address);
}

/* Running */

static void become_ready(struct control *control)
{
    control->ready = true;
    sd_notify(false, "READY=1");
    set_idle_timeout(control);
}

static void continue_running(struct control *control)
{
    status_changed(&control->status);
    if (control->stopping)
        return;
    advance_reload(control);
    close_left(control);
    idle_exit_pool_changed(&control->idle_exit);
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
        continue_running(control);
        return 0;
    case WORKER_DRAINING:
        status_changed(&control->status);
        sockets_close_unused(&control->sockets);
        return 0;
    case WORKER_ENDED:
        return sd_event_exit(control->event, 0);
    case WORKER_FAILED:
        return sd_event_exit(control->event,
                             failure_log(control->sink, control->logger, "A worker failed", error));
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
        r = watchdog_start(&control->watchdog, control->event, control->pool, control->logger);
    if (r >= 0)
        r = handshake_start(&control->handshake, control->event);
    if (r >= 0)
        r = idle_exit_start(&control->idle_exit, control->event, control->pool, &control->sockets,
                            on_idle, control);
    return r;
}

static void prepare_reload(struct control *control)
{
    control->reload = (struct reload){
        .options = control->options,
        .started = control->config,
        .sockets = &control->sockets,
        .pool = control->pool,
        .logger = control->logger,
        .status = &control->status,
    };
}

static void stop_watching(struct control *control)
{
    idle_exit_deinit(&control->idle_exit);
    handshake_deinit(&control->handshake);
    watchdog_deinit(&control->watchdog);
    status_deinit(&control->status);
}

/* Starts the workers and stays in the event loop. */
static int serve(struct control *control)
{
    const struct server_settings *server = settings(control);
    int r;

    announce_unusable(control->logger, &control->opening);
    announce_listening(control->logger, control->sockets.snapshot, NULL);
    announce_unused(control->logger, control->config, &control->sockets);
    announce_not_kept(control->logger, &control->sockets);
    r = pool_start(&control->pool, control->sockets.snapshot, control->n_workers,
                   server->max_connections, control->logger);
    if (r >= 0)
        r = watch_pool(control);
    if (r < 0)
        return failure_log(control->sink, control->logger, "Failed to start the workers", r);
    prepare_reload(control);
    r = sd_event_loop(control->event);
    return r < 0 ? failure_log(control->sink, control->logger, "The event loop failed", r) : r;
}

/* Threads end in the order in which they need each other: workers write to the log. */
static void end_threads(struct control *control)
{
    bool workers_end =
        !control->pool || pool_end(control->pool, clock_now() + CONTROL_WORKERS_USEC) >= 0;

    if (!control->logger)
        return;
    if (!workers_end)
        logger_log(control->logger, LOG_CRIT, MESSAGE_ID_WORKER_STUCK,
                   "A worker does not end: leaving without it");
    uint64_t deadline_usec = clock_now() + CONTROL_LOG_USEC;
    int r = workers_end ? logger_stop(control->logger, deadline_usec)
                        : logger_end(control->logger, deadline_usec);
    control->sink->abandoned = r < 0 || !workers_end;
}

/* Returns the exit status. */
static int run_event_loop(struct control *control)
{
    int r = sd_event_new(&control->event);

    if (r >= 0)
        r = add_signals(control);
    if (r < 0)
        return failure_log(control->sink, control->logger, "Failed to prepare the event loop", r);
    r = serve(control);
    stop_watching(control);
    return r;
}

/* Returns the exit status. OPENED is from sockets_open(), STARTED is from logger_start(). */
static int run(struct control *control, int opened, int started)
{
    if (opened < 0)
        return failure_log_lines(control->sink, control->logger, &control->opening, opened);
    if (started < 0)
        return failure_log(control->sink, control->logger, "Failed to start the thread of the log",
                           started);
    return run_event_loop(control);
}

int control_run(struct config *config, const struct config_options *options, struct sink *sink)
{
    const struct logger_options log_options = announce_log_options(config);
    struct control control = {
        .config = config,
        .options = options,
        .sink = sink,
        .n_workers = choose_n_workers(config_server(config)),
    };

    /* From now on a stop is heard by the event loop, and all threads have it blocked. */
    signals_block();
    /* Sockets before any other descriptor, which could take the number of one that is missing. */
    int opened = sockets_open(&control.sockets, config, &control.opening);

    raise_descriptor_limit();
    int started = logger_start(&control.logger, sink, control.n_workers, &log_options);
    int status = run(&control, opened, started);

    end_threads(&control);
    if (sink->abandoned)
        return status;
    reload_deinit(&control.reload);
    pool_free(control.pool);
    sockets_deinit(&control.sockets);
    diagnostics_deinit(&control.opening);
    sd_event_unref(control.event);
    return status;
}

int control_reject(struct sink *sink, const struct diagnostics *diagnostics, int error)
{
    const struct logger_options everything = {.level = LOG_DEBUG};
    struct control control = {.sink = sink};

    signals_block();
    (void)logger_start(&control.logger, sink, 0, &everything);
    int status = failure_log_lines(sink, control.logger, diagnostics, error);

    end_threads(&control);
    return status;
}
