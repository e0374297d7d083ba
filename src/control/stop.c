/* SPDX-License-Identifier: MIT */
#include "greetd/control/stop.h"

#include <inttypes.h>
#include <stdio.h>

#include "greetd/base/clock.h"
#include "greetd/base/parse.h"
#include "greetd/journal/catalog.h"

static int on_timeout(sd_event_source *source, uint64_t usec, void *p)
{
    struct stop *stop = p;
    struct metrics_sums sums = metrics_sum(stop->metrics);
    uint64_t active = metrics_active(&sums);

    (void)source;
    (void)usec;
    if (active > 0)
        logger_log(stop->logger, LOG_WARNING, MESSAGE_ID_STOP_FORCED,
                   "Stopping now: %" PRIu64 " client%s did not finish in time", active,
                   active == 1 ? "" : "s");
    return sd_event_exit(stop->event, 0);
}

/* The threads need some time beyond that of the clients. */
static void notify_stop(struct stop *stop, uint64_t timeout_usec)
{
    status_stop(stop->status, usec_add(timeout_usec, STOP_WORKERS_USEC + STOP_LOG_USEC));
}

static void stop_workers(void *pool)
{
    pool_post(pool, WORKER_STOP);
}

/* Greets the clients in the queues of the sockets that are about to be closed, and those whose
 * handshake is under way, before the workers stop accepting. */
static void drain_sockets(struct stop *stop)
{
    sockets_drop_syn(stop->sockets, NULL);
    handshake_await(stop->handshake, stop->sockets->snapshot, NULL, stop_workers, stop->pool);
}

/* Calls HANDLER after TIME. */
static int add_timer(struct stop *stop, uint64_t time_usec, sd_event_time_handler_t handler)
{
    return sd_event_add_time(stop->event, NULL, CLOCK_MONOTONIC, usec_add(clock_now(), time_usec),
                             1000, handler, stop);
}

/* A prepared reload comes into force first: clients may wait at its new sockets. */
int stop_begin(struct stop *stop)
{
    uint64_t timeout_usec = sockets_server(stop->sockets)->stop_timeout_usec;

    stop->requested = stop->begun = true;
    messages_deinit(stop->messages);
    notify_stop(stop, timeout_usec);
    status_trouble(stop->status, NULL);
    status_stopping(stop->status);
    if (stop->reload->state != RELOAD_PREPARED)
        drain_sockets(stop);
    return add_timer(stop, timeout_usec, on_timeout);
}

static int on_delay_over(sd_event_source *source, uint64_t usec, void *p)
{
    (void)source;
    (void)usec;
    return stop_begin(p);
}

static int delay(struct stop *stop)
{
    uint64_t delay_usec = sockets_server(stop->sockets)->stop_delay_usec;
    char span[TIMESPAN_TEXT_MAX], text[TIMESPAN_TEXT_MAX + 32];

    stop->requested = true;
    notify_stop(stop, usec_add(delay_usec, sockets_server(stop->sockets)->stop_timeout_usec));
    format_timespan(delay_usec, span);
    snprintf(text, sizeof(text), "stopping in %s", span);
    status_trouble(stop->status, text);
    logger_log(stop->logger, LOG_INFO, MESSAGE_ID_STOP_DELAYED,
               "Stopping in %s: clients are still accepted", span);
    messages_stop(stop->messages);
    return add_timer(stop, delay_usec, on_delay_over);
}

int stop_request(struct stop *stop)
{
    return !stop->sockets->inherited && sockets_server(stop->sockets)->stop_delay_usec > 0
               ? delay(stop)
               : stop_begin(stop);
}

void stop_reload_activated(struct stop *stop)
{
    if (!stop->begun)
        return;
    messages_deinit(stop->messages);
    drain_sockets(stop);
}
