/* SPDX-License-Identifier: MIT */
#include "greetd/control/status.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "greetd/base/clock.h"
#include "greetd/metrics/metrics.h"

#define STATUS_INTERVAL_USEC 1000000

/* Sources may be known for a year. */
#define STATUS_SOURCES_MAX_USEC 60000000

static const char *plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}

/* Updates the metrics of the table of sources, and returns how many it has. */
static size_t count_sources(struct status *status)
{
    const struct sources *sources = pool_sources(status->pool);
    struct metrics_sources *counted = &status->metrics->sources;
    size_t known = sources_known(sources, status->refreshed_usec);

    atomic_store_explicit(&counted->known, known, memory_order_relaxed);
    atomic_store_explicit(&counted->capacity, sources_capacity(sources), memory_order_relaxed);
    atomic_store_explicit(&counted->forgotten, sources_forgotten(sources), memory_order_relaxed);
    atomic_store_explicit(&counted->untracked, sources_untracked(sources), memory_order_relaxed);

    return known;
}

/* Describes N_SOURCES of the table, unless it is empty. */
static const char *describe_sources(const struct status *status, size_t n_sources, char *text,
                                    size_t size)
{
    text[0] = '\0';
    if (n_sources > 0)
        snprintf(text, size, "; %zu of %zu sources", n_sources,
                 sources_capacity(pool_sources(status->pool)));
    return text;
}

static void describe(const struct status *status, size_t n_sources, char *text, size_t size)
{
    struct metrics_sums sums = pool_sums_and_watch(status->pool);
    uint64_t active = metrics_active(&sums);
    size_t workers = status->metrics->n;
    char sources[64];

    const char *doing = !status->stopping ? "Greeting"
                        : active > 0      ? "Stopping, greeting the last"
                                          : "Stopping,";

    snprintf(text, size,
             "%s %" PRIu64 " client%s; %" PRIu64 " greeted, %" PRIu64
             " refused; %zu worker%s%s%s%s",
             doing, active, plural(active), sums.greeted, metrics_refused(status->metrics), workers,
             plural(workers), describe_sources(status, n_sources, sources, sizeof(sources)),
             status->trouble[0] ? "; " : "", status->trouble);
}

static void start_timer(struct status *status, uint64_t usec)
{
    (void)sd_event_source_set_time(status->timer, status->refreshed_usec + usec);
    (void)sd_event_source_set_enabled(status->timer, SD_EVENT_ONESHOT);
}

/* Counts again later, and each time twice as late while nothing changes. */
static void count_later(struct status *status, bool changed)
{
    status->wait_usec =
        changed ? STATUS_INTERVAL_USEC : usec_min(2 * status->wait_usec, STATUS_SOURCES_MAX_USEC);
    start_timer(status, status->wait_usec);
}

static int notify_stopping(uint64_t timeout_usec)
{
    return timeout_usec == USEC_INFINITY
               ? sd_notify(false, "STOPPING=1")
               : sd_notifyf(false, "STOPPING=1\nEXTEND_TIMEOUT_USEC=%" PRIu64, timeout_usec);
}

/* Sends what systemd waits for. */
static void notify_state(struct status *status)
{
    if (status->reloading_usec > 0 &&
        sd_notifyf(false, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, status->reloading_usec) >= 0)
        status->reloading_usec = 0;
    if (status->reloading_usec == 0 && status->ready_due && sd_notify(false, "READY=1") >= 0)
        status->ready_due = false;
    if (status->stop_usec > 0 && notify_stopping(status->stop_usec) >= 0)
        status->stop_usec = 0;
}

static void notify_or_retry(struct status *status)
{
    notify_state(status);
    if (status->reloading_usec > 0 || status->ready_due || status->stop_usec > 0)
        status_changed(status);
}

static void refresh(struct status *status)
{
    char text[STATUS_TEXT_MAX];

    status->refreshed_usec = clock_now();
    size_t n_sources = count_sources(status);
    describe(status, n_sources, text, sizeof(text));
    bool changed = strcmp(text, status->last_status) != 0;
    if (n_sources > 0)
        count_later(status, changed);
    if (!changed)
        return;
    if (sd_notifyf(false, "STATUS=%s", text) >= 0)
        strcpy(status->last_status, text);
    else
        status_changed(status);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *p)
{
    (void)source;
    (void)usec;
    refresh(p);
    notify_or_retry(p);
    return 0;
}

int status_start(struct status *status, sd_event *event, struct pool *pool, struct metrics *metrics)
{
    *status = (struct status){.pool = pool, .metrics = metrics};
    int r = sd_event_add_time(event, &status->timer, CLOCK_MONOTONIC, 0, STATUS_INTERVAL_USEC / 4,
                              on_timer, status);

    return r < 0 ? r : sd_event_source_set_enabled(status->timer, SD_EVENT_ONESHOT);
}

void status_deinit(struct status *status)
{
    status->timer = sd_event_source_disable_unref(status->timer);
}

void status_reloading(struct status *status)
{
    /* systemd tells this reload from an earlier one by the time. */
    status->reloading_usec = clock_now();
    status->ready_due = false;
    notify_or_retry(status);
}

void status_ready(struct status *status)
{
    status->ready_due = true;
    notify_or_retry(status);
}

void status_stop(struct status *status, uint64_t timeout_usec)
{
    status->stop_usec = timeout_usec;
    notify_or_retry(status);
}

void status_changed(struct status *status)
{
    start_timer(status, STATUS_INTERVAL_USEC);
}

void status_stopping(struct status *status)
{
    status->stopping = true;
    refresh(status);
}

void status_trouble(struct status *status, const char *text)
{
    if (!text && !status->trouble[0])
        return;
    snprintf(status->trouble, sizeof(status->trouble), "%s", text ? text : "");
    status_changed(status);
}
