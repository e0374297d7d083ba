/* SPDX-License-Identifier: MIT */
#pragma once

/* The state of greetd in words, for `systemctl status`: STATUS= of sd_notify(3), sent when it has
 * changed, and at most once a second. While the table of sources has any, they are counted at the
 * same time, also for the metrics, and after up to a minute if nothing changes. Without clients and
 * sources no timer runs. Only for the main thread. */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "greetd/worker/pool.h"

#define STATUS_TEXT_MAX 1024

struct status {
    struct pool *pool;       /* borrowed */
    struct metrics *metrics; /* borrowed */
    sd_event_source *timer;  /* owned */
    uint64_t refreshed_usec;
    uint64_t wait_usec;      /* from then until the sources are counted again */
    uint64_t reloading_usec; /* when a reload began, until RELOADING=1 is sent; else 0 */
    bool ready_due;          /* until READY=1 is sent */
    uint64_t stop_usec;      /* how long the stop may take, until STOPPING=1 is sent; else 0 */
    bool stopping;
    char trouble[STATUS_TEXT_MAX / 2]; /* "": none */
    char last_status[STATUS_TEXT_MAX]; /* the text sent last */
};

/* Starts sending the status of POOL and METRICS. Returns 0 or a negative errno of the event loop;
 * status_deinit() is due in either case. */
int status_start(struct status *status, sd_event *event, struct pool *pool,
                 struct metrics *metrics);
void status_deinit(struct status *status);

/* A reload begins: RELOADING=1. systemd waits for this message and the next one, so one that can't
 * be sent, while descriptors are short say, is sent again every second, in their order. */
void status_reloading(struct status *status);

/* greetd serves, or the reload is over: READY=1. */
void status_ready(struct status *status);

/* A stop begins that takes TIMEOUT_USEC (above 0) at most: STOPPING=1, and systemd extends
 * TimeoutStopSec=. Sent again as above. */
void status_stop(struct status *status, uint64_t timeout_usec);

/* The status may have changed. It is sent once a second has passed since the last time. */
void status_changed(struct status *status);

/* greetd is stopping. The status is sent at once, since there may be no later time. */
void status_stopping(struct status *status);

/* Adds a sentence about a problem to the status; NULL removes it. Sent as by status_changed(). */
void status_trouble(struct status *status, const char *text);
