/* SPDX-License-Identifier: MIT */
#include "greetd/control.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>

#include "greetd/connlog.h"
#include "greetd/deadline.h"
#include "greetd/pool.h"
#include "greetd/processors.h"
#include "greetd/sockets.h"

/* STATUS= is refreshed at most this often. */
#define CONTROL_STATUS_USEC 1000000

/* At the end, how long the log may take to take what is left. */
#define CONTROL_LOG_USEC 1000000

struct control {
    const struct config *config; /* borrowed */
    struct sockets sockets;
    struct connlog *connlog;
    struct pool *pool;
    sd_event *event;
    unsigned n_workers;
    bool ready, stopping;
    char status[160]; /* what systemd was told last */
};

/* Telling */

static int notify_failure(const char *what, int error)
{
    sd_notifyf(false, "STATUS=%s: %s\nERRNO=%d", what, strerrordesc_np(-error), -error);
    return EX_OSERR;
}

/* Says what failed to the log and to systemd, and returns the exit status for it. */
static int fail(struct log *log, const char *what, int error)
{
    log_print(log, LOG_ERR, LOG_ID_FAILED, "%s: %s", what, strerrordesc_np(-error));
    return notify_failure(what, error);
}

/* The same, while the log has a thread of its own. */
static int fail_running(struct connlog *connlog, const char *what, int error)
{
    connlog_message(connlog, LOG_ERR, LOG_ID_FAILED, "%s: %s", what, strerrordesc_np(-error));
    return notify_failure(what, error);
}

static void log_report(struct log *log, const char *id, const struct report *report)
{
    for (size_t i = 0; i < report->n_lines; i++)
        log_print(log, LOG_ERR, id, "%s", report->lines[i]);
    sd_notifyf(false, "STATUS=%s%s", report->n_lines > 0 ? report->lines[0] : "Out of memory",
               report->n_mistakes > 1 ? ", and more" : "");
}

int control_reject(struct log *log, const struct report *report)
{
    log_report(log, LOG_ID_CONFIG, report);
    return EX_CONFIG;
}

static const char *plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}

static void describe(const struct control *control, char *text, size_t size)
{
    struct metrics_sums sums = pool_sums(control->pool);
    uint64_t active = metrics_active(&sums);
    unsigned workers = pool_n_workers(control->pool);

    snprintf(text, size,
             "%s %" PRIu64 " client%s; %" PRIu64 " greeted, %" PRIu64 " refused; %u worker%s",
             control->stopping ? "Stopping, greeting the last" : "Greeting", active, plural(active),
             sums.greeted, sums.refused, workers, plural(workers));
}

static void refresh_status(struct control *control)
{
    char status[sizeof(control->status)];

    describe(control, status, sizeof(status));
    if (strcmp(status, control->status) == 0)
        return;
    strcpy(control->status, status);
    sd_notifyf(false, "STATUS=%s", status);
}

static int on_status_timer(sd_event_source *source, uint64_t usec, void *p)
{
    int r = sd_event_source_set_time(source, deadline_now() + CONTROL_STATUS_USEC);

    (void)usec;
    refresh_status(p);
    return r < 0 ? r : sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
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

static void log_listening(struct control *control)
{
    const struct listener_set *listeners = &control->sockets.listeners;
    char address[ADDRESS_TEXT_MAX];

    for (size_t i = 0; i < listeners->n; i++)
        connlog_listening(control->connlog, listeners->listeners[i].name,
                          address_format(&listeners->listeners[i].address, address));
}

static void log_unused(struct control *control)
{
    for (size_t i = 0; i < config_n_listeners(control->config); i++) {
        const struct config_listener *listener = config_listener_at(control->config, i);

        if (!sockets_use(&control->sockets, listener))
            connlog_message(control->connlog, LOG_WARNING, LOG_ID_UNUSED,
                            "No socket is named %s: [Listener %s] is not used", listener->name,
                            listener->name);
    }
}

/* Stopping */

/* Sockets of our own are closed soon, so whoever is in their queue is greeted first. */
static void stop_accepting(struct control *control)
{
    struct listener_set *listeners = &control->sockets.listeners;

    for (size_t i = 0; i < listeners->n; i++)
        listener_drop_newcomers(&listeners->listeners[i]);
    pool_post(control->pool, control->sockets.inherited ? WORKER_STOP_LEAVE : WORKER_STOP_EMPTY);
}

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
                        plural(active));
    return sd_event_exit(control->event, 0);
}

static int on_stop_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *p)
{
    struct control *control = p;
    uint64_t timeout_usec = config_server(control->config)->stop_timeout_usec;

    (void)source;
    (void)info;
    if (control->stopping)
        return sd_event_exit(control->event, 0);

    control->stopping = true;
    sd_notify(false, "STOPPING=1");
    refresh_status(control);
    stop_accepting(control);
    return sd_event_add_time(control->event, NULL, CLOCK_MONOTONIC,
                             deadline_after(deadline_now(), timeout_usec), 1000, on_stop_timer,
                             control);
}

static void close_own_sockets(struct control *control)
{
    struct listener_set *listeners = &control->sockets.listeners;

    for (size_t i = 0; i < listeners->n; i++)
        listener_close(&listeners->listeners[i]);
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
        break;
    case WORKER_ACCEPTING:
        if (!control->ready && !control->stopping)
            sd_notify(false, "READY=1");
        control->ready = true;
        break;
    case WORKER_DRAINING:
        close_own_sockets(control);
        break;
    case WORKER_ENDED:
        return sd_event_exit(control->event, 0);
    case WORKER_FAILED:
        return sd_event_exit(control->event,
                             fail_running(control->connlog, "A worker failed", error));
    }
    return 0;
}

/* Running */

static int add_signals(struct control *control)
{
    int r = sd_event_add_signal(control->event, NULL, SIGTERM, on_stop_signal, control);

    if (r >= 0)
        r = sd_event_add_signal(control->event, NULL, SIGINT, on_stop_signal, control);
    return r;
}

static int watch_pool(struct control *control)
{
    int r = sd_event_add_io(control->event, NULL, pool_changed_fd(control->pool), EPOLLIN,
                            on_pool_changed, control);

    if (r >= 0)
        r = sd_event_add_time(control->event, NULL, CLOCK_MONOTONIC, deadline_now(),
                              CONTROL_STATUS_USEC / 4, on_status_timer, control);
    return r;
}

static int open_sockets(struct control *control, struct log *log)
{
    _cleanup_(report_deinit) struct report report = REPORT_NULL;
    int r = sockets_open(&control->sockets, control->config, &report);

    if (r >= 0)
        return 0;
    log_report(log, LOG_ID_FAILED, &report);
    if (r == -EBADMSG)
        return EX_CONFIG;
    sd_notifyf(false, "ERRNO=%d", -r);
    return EX_OSERR;
}

/* With the log's thread running: starts the workers and stays in the event loop. */
static int serve(struct control *control)
{
    const struct server_settings *server = config_server(control->config);
    int r;

    log_listening(control);
    log_unused(control);
    r = pool_start(&control->pool, &control->sockets.endpoints, control->n_workers,
                   server->max_connections, control->connlog);
    if (r >= 0)
        r = watch_pool(control);
    if (r < 0)
        return fail_running(control->connlog, "Failed to start the workers", r);
    r = sd_event_loop(control->event);
    return r < 0 ? fail_running(control->connlog, "The event loop failed", r) : r;
}

/* Threads end in the order in which they need each other: workers write to the log. */
static void end_threads(struct control *control, struct log *log)
{
    uint64_t deadline_usec = deadline_after(deadline_now(), CONTROL_LOG_USEC);

    if (control->pool)
        pool_end(control->pool);
    log->abandoned = connlog_stop(control->connlog, deadline_usec) < 0;
}

/* Returns the exit status. */
static int run_threads(struct control *control, struct log *log)
{
    int r = connlog_start(&control->connlog, log, control->n_workers,
                          config_log(control->config)->connections);

    if (r < 0)
        return fail(log, "Failed to start the thread of the log", r);
    r = serve(control);
    end_threads(control, log);
    return r;
}

/* Returns the exit status. */
static int run_event_loop(struct control *control, struct log *log)
{
    int r = sd_event_new(&control->event);

    if (r >= 0)
        r = add_signals(control);
    return r < 0 ? fail(log, "Failed to prepare the event loop", r) : run_threads(control, log);
}

static sigset_t block_stop_signals(void)
{
    sigset_t stop;

    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    sigprocmask(SIG_BLOCK, &stop, NULL);
    return stop;
}

int control_run(const struct config *config, struct log *log)
{
    struct control control = {
        .config = config,
        .n_workers = choose_n_workers(config_server(config)),
    };

    /* From now on a stop is heard by the event loop, and all threads have it blocked. */
    block_stop_signals();
    /* Sockets before any other descriptor, which could take the number of one that is missing. */
    int status = open_sockets(&control, log);

    raise_descriptor_limit();
    if (status == 0)
        status = run_event_loop(&control, log);
    close_own_sockets(&control);
    if (log->abandoned)
        return status;
    pool_free(control.pool);
    sockets_deinit(&control.sockets);
    sd_event_unref(control.event);
    return status;
}

void control_slow_down(void)
{
    const struct timespec pause = {.tv_sec = 1};
    sigset_t stop = block_stop_signals();

    (void)sigtimedwait(&stop, NULL, &pause);
}
