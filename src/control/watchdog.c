/* SPDX-License-Identifier: MIT */
#include "greetd/control/watchdog.h"

#include <fcntl.h>
#include <systemd/sd-daemon.h>

#include "greetd/base/cleanup.h"
#include "greetd/base/clock.h"
#include "greetd/journal/catalog.h"

/* How many checks there are in WatchdogSec=. A worker with little processor time may miss one or
 * two and is in time for the next. */
#define WATCHDOG_CHECKS 4

/* sd_notify(3) opens a socket, for which the spare descriptor makes room. A worker may be faster
 * and accept a client instead; then the next check is in time. */
static void notify(struct watchdog *watchdog)
{
    watchdog->spare_fd = safe_close(watchdog->spare_fd);
    sd_notify(false, "WATCHDOG=1");
    watchdog->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void notify_watchdog(struct watchdog *watchdog, uint64_t now_usec)
{
    notify(watchdog);
    watchdog->notified_usec = now_usec;
    watchdog->logged_stuck = false;
    pool_ping(watchdog->pool);
}

/* Logs one check before the timeout of systemd, so that the journal names the worker. */
static void log_stuck_worker(struct watchdog *watchdog, unsigned worker, uint64_t now_usec)
{
    uint64_t stuck_usec = now_usec - watchdog->notified_usec;

    if (watchdog->logged_stuck ||
        stuck_usec < watchdog->timeout_usec / WATCHDOG_CHECKS * (WATCHDOG_CHECKS - 1))
        return;
    watchdog->logged_stuck = true;
    logger_log(watchdog->logger, LOG_CRIT, MESSAGE_ID_WORKER_STUCK,
               "Worker %u has not gone round its loop for %.3gs: systemd is going to restart "
               "greetd",
               worker, (double)stuck_usec / 1e6);
}

static int on_check(sd_event_source *source, uint64_t usec, void *p)
{
    struct watchdog *watchdog = p;
    uint64_t now_usec = clock_now();
    unsigned stuck;

    (void)usec;
    if (pool_is_responsive(watchdog->pool, &stuck))
        notify_watchdog(watchdog, now_usec);
    else
        log_stuck_worker(watchdog, stuck, now_usec);
    int r = sd_event_source_set_time(source, now_usec + watchdog->timeout_usec / WATCHDOG_CHECKS);
    return r < 0 ? r : sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

int watchdog_start(struct watchdog *watchdog, sd_event *event, struct pool *pool,
                   struct logger *logger)
{
    uint64_t timeout_usec;
    int r = sd_watchdog_enabled(false, &timeout_usec);

    *watchdog = (struct watchdog){.pool = pool, .logger = logger, .spare_fd = -1};
    if (r <= 0)
        return r;
    watchdog->timeout_usec = timeout_usec;
    notify_watchdog(watchdog, clock_now());
    r = sd_event_add_time(event, &watchdog->timer, CLOCK_MONOTONIC,
                          watchdog->notified_usec + timeout_usec / WATCHDOG_CHECKS,
                          timeout_usec / WATCHDOG_CHECKS / 8, on_check, watchdog);
    if (r < 0)
        watchdog->spare_fd = safe_close(watchdog->spare_fd);
    return r;
}

void watchdog_deinit(struct watchdog *watchdog)
{
    if (watchdog->timer)
        watchdog->spare_fd = safe_close(watchdog->spare_fd);
    watchdog->timer = sd_event_source_disable_unref(watchdog->timer);
}
