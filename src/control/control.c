/* SPDX-License-Identifier: MIT */
#include "greetd/control/control.h"

#include <errno.h>
#include <sys/resource.h>
#include <systemd/sd-event.h>

#include "greetd/base/clock.h"
#include "greetd/base/processors.h"
#include "greetd/control/announce.h"
#include "greetd/control/idle_exit.h"
#include "greetd/control/messages.h"
#include "greetd/control/reload.h"
#include "greetd/control/signals.h"
#include "greetd/control/status.h"
#include "greetd/control/stop.h"
#include "greetd/control/unit_states.h"
#include "greetd/control/watchdog.h"
#include "greetd/journal/catalog.h"
#include "greetd/journal/logger.h"
#include "greetd/listen/handshake.h"
#include "greetd/listen/sockets.h"
#include "greetd/worker/pool.h"

struct control {
    struct server_settings started;       /* those of its first configuration */
    const struct config_options *options; /* borrowed */
    struct sink *sink;                    /* borrowed: the end of the logger */
    struct sockets sockets;
    struct diagnostics opening; /* of sockets_open() */
    struct metrics *metrics;
    struct logger *logger;
    struct pool *pool;
    sd_event *event;
    struct status status;
    struct watchdog watchdog;
    struct idle_exit idle_exit;
    struct reload reload;
    struct handshake handshake;
    struct unit_states unit_states;
    struct messages messages;
    struct stop stop;
    bool ready;
};

/* Each worker has a place for at least one client. */
static size_t choose_n_workers(const struct server_settings *server)
{
    uint64_t n = server->workers > 0 ? server->workers : processors_available();

    return (size_t)(n < server->max_connections ? n : server->max_connections);
}

/* Each client and each socket takes a descriptor. The default limit is low only for programs that
 * use select(2). */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

static int on_stop_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *p)
{
    struct control *control = p;

    (void)source;
    (void)info;
    return control->stop.requested ? sd_event_exit(control->event, 0)
                                   : stop_request(&control->stop);
}

static void on_idle(void *p)
{
    struct control *control = p;
    double idle_sec = (double)sockets_server(&control->sockets)->idle_exit_usec / 1e6;

    logger_log(control->logger, LOG_INFO, MESSAGE_ID_IDLE_EXIT,
               "No client for %.6gs: exiting until the next one comes", idle_sec);
    (void)stop_begin(&control->stop);
}

/* Sockets that greetd has opened itself would not start it again for the next client. */
static void set_idle_timeout(struct control *control)
{
    if (control->sockets.inherited)
        idle_exit_set_timeout(&control->idle_exit,
                              sockets_server(&control->sockets)->idle_exit_usec);
}

static void on_reload_activated(void *p)
{
    struct control *control = p;

    set_idle_timeout(control);
    stop_reload_activated(&control->stop);
}

static int on_reload_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *p)
{
    struct control *control = p;

    (void)source;
    (void)info;
    control->reload.requested = true;
    if (control->ready && !control->stop.requested)
        reload_advance(&control->reload);
    return 0;
}

/* A prepared reload may have one of the sockets again. */
static void close_removed_sockets(struct control *control)
{
    char address[ADDRESS_TEXT_MAX];

    while (control->reload.state != RELOAD_PREPARED &&
           sockets_close_leaving(&control->sockets, address))
        announce_closed(control->logger, address);
}

static void become_ready(struct control *control)
{
    control->ready = true;
    status_ready(&control->status);
    set_idle_timeout(control);
}

static void on_workers_progress(struct control *control)
{
    status_changed(&control->status);
    messages_advance(&control->messages);
    if (control->stop.begun)
        return;
    if (!control->stop.requested)
        reload_advance(&control->reload);
    close_removed_sockets(control);
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
        if (!control->ready && !control->stop.requested)
            become_ready(control);
        on_workers_progress(control);
        return 0;
    case WORKER_DRAINING:
        status_changed(&control->status);
        sockets_close_unused(&control->sockets);
        return 0;
    case WORKER_ENDED:
        return sd_event_exit(control->event, 0);
    case WORKER_FAILED:
        return sd_event_exit(control->event, announce_failure(control->sink, control->logger,
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

static int start_watching(struct control *control)
{
    int r = sd_event_add_io(control->event, NULL, pool_changed_fd(control->pool), EPOLLIN,
                            on_pool_changed, control);

    if (r >= 0)
        r = status_start(&control->status, control->event, control->pool, control->metrics);
    if (r >= 0)
        r = watchdog_start(&control->watchdog, control->event, control->pool, control->logger);
    if (r >= 0)
        r = handshake_start(&control->handshake, control->event);
    if (r >= 0)
        r = idle_exit_start(&control->idle_exit, control->event, control->pool, &control->sockets,
                            on_idle, control);
    control->messages = messages_init(control->event, control->pool, control->logger,
                                      control->metrics, &control->unit_states);
    return r;
}

static void prepare_reload(struct control *control)
{
    control->reload = (struct reload){
        .options = control->options,
        .started = &control->started,
        .sockets = &control->sockets,
        .pool = control->pool,
        .logger = control->logger,
        .metrics = control->metrics,
        .status = &control->status,
        .handshake = &control->handshake,
        .messages = &control->messages,
        .unit_states = &control->unit_states,
        .activated = on_reload_activated,
        .userdata = control,
    };
}

static void prepare_stop(struct control *control)
{
    control->stop = (struct stop){
        .event = control->event,
        .sockets = &control->sockets,
        .pool = control->pool,
        .logger = control->logger,
        .metrics = control->metrics,
        .status = &control->status,
        .handshake = &control->handshake,
        .messages = &control->messages,
        .reload = &control->reload,
    };
}

static void stop_watching(struct control *control)
{
    messages_deinit(&control->messages);
    unit_states_deinit(&control->unit_states);
    idle_exit_deinit(&control->idle_exit);
    handshake_deinit(&control->handshake);
    watchdog_deinit(&control->watchdog);
    status_deinit(&control->status);
}

/* Starts the workers once all that they send is known. */
static int start_workers(struct control *control)
{
    struct snapshot *snapshot = control->sockets.snapshot;
    int r = unit_states_start(&control->unit_states, control->event, control->logger);

    if (r < 0)
        return r;
    unit_states_add_snapshot(&control->unit_states, snapshot);
    r = pool_start(&control->pool, snapshot, sockets_server(&control->sockets)->max_connections,
                   control->metrics, control->logger);
    return r < 0 ? r : start_watching(control);
}

/* Starts the workers and runs the event loop. Returns the exit status. */
static int serve(struct control *control)
{
    announce_start(control->logger, control->sockets.snapshot->config, &control->sockets,
                   &control->opening);
    int r = start_workers(control);
    if (r < 0)
        return announce_failure(control->sink, control->logger, "Failed to start the workers", r);
    prepare_reload(control);
    prepare_stop(control);
    messages_renew(&control->messages, control->sockets.snapshot);
    r = sd_event_loop(control->event);
    return r < 0 ? announce_failure(control->sink, control->logger, "The event loop failed", r) : r;
}

/* Returns the exit status. */
static int run_event_loop(struct control *control)
{
    int r = sd_event_new(&control->event);

    if (r >= 0)
        r = add_signals(control);
    if (r < 0)
        return announce_failure(control->sink, control->logger, "Failed to prepare the event loop",
                                r);
    r = serve(control);
    stop_watching(control);
    return r;
}

/* OPENED is the result of sockets_open(), STARTED that of start_log(). Returns the exit status. */
static int run(struct control *control, int opened, int started)
{
    if (opened < 0)
        return announce_failure_lines(control->sink, control->logger, &control->opening, opened);
    if (started < 0)
        return announce_failure(control->sink, control->logger,
                                "Failed to start the thread of the log", started);
    return run_event_loop(control);
}

static int start_log(struct control *control, size_t n_workers,
                     const struct logger_options *options)
{
    int r = metrics_new(&control->metrics, n_workers);

    return r < 0 ? r : logger_start(&control->logger, control->sink, control->metrics, options);
}

/* Ends the workers before the log thread, since they log. Returns whether all have ended. */
static bool end_threads(struct control *control)
{
    bool workers_ended =
        !control->pool || pool_end(control->pool, clock_now() + STOP_WORKERS_USEC) >= 0;

    if (!control->logger)
        return workers_ended;
    if (!workers_ended)
        logger_log(control->logger, LOG_CRIT, MESSAGE_ID_WORKER_STUCK,
                   "A worker does not end: leaving without it");
    uint64_t deadline_usec = clock_now() + STOP_LOG_USEC;
    int r = workers_ended ? logger_stop(control->logger, deadline_usec)
                          : logger_end(control->logger, deadline_usec);
    return r >= 0 && workers_ended;
}

int control_run(struct config *config, const struct config_options *options, struct sink *sink,
                bool *ret_stuck)
{
    const struct logger_options log_options = announce_options(config);
    struct control control = {.started = *config_server(config), .options = options, .sink = sink};
    size_t n_workers = choose_n_workers(&control.started);

    /* From now on the event loop handles signals, and all threads have them blocked. */
    signals_block();
    /* ReusePort=yes may need more sockets than the default limit allows. */
    raise_descriptor_limit();
    /* Sockets before any other descriptor, which could take the number of a missing one. */
    int opened = sockets_open(&control.sockets, config, n_workers, &control.opening);

    config_unref(config);
    int started = start_log(&control, n_workers, &log_options);
    int status = run(&control, opened, started);

    *ret_stuck = !end_threads(&control);
    if (*ret_stuck)
        return status;
    reload_deinit(&control.reload);
    pool_free(control.pool);
    metrics_free(control.metrics);
    sockets_deinit(&control.sockets);
    diagnostics_deinit(&control.opening);
    sd_event_unref(control.event);
    return status;
}

int control_reject(struct sink *sink, const struct diagnostics *diagnostics, int error,
                   bool *ret_stuck)
{
    const struct logger_options everything = {.level = LOG_DEBUG};
    struct control control = {.sink = sink};

    signals_block();
    (void)start_log(&control, 0, &everything);
    int status = announce_failure_lines(sink, control.logger, diagnostics, error);

    *ret_stuck = !end_threads(&control);
    if (!*ret_stuck)
        metrics_free(control.metrics);
    return status;
}
