/* SPDX-License-Identifier: MIT */
#pragma once

/* How greetd is, in words, for `systemctl status`: STATUS= of sd_notify(3), sent when it has
 * changed and at most once a second. While nothing happens nothing wakes. Only for the main thread.
 */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "greetd/worker/pool.h"

#define STATUS_TEXT_MAX 1024

struct status {
    struct pool *pool;             /* borrowed */
    const struct metrics *metrics; /* borrowed */
    sd_event_source *timer;        /* owned */
    uint64_t refreshed_usec;
    bool stopping;
    char trouble[STATUS_TEXT_MAX / 2]; /* "" if there is none */
    char last_status[STATUS_TEXT_MAX]; /* what systemd was told last */
};

/* Tells how the workers of POOL are from now on. Returns 0 or a negative errno of the event loop;
 * status_deinit() is due in either case. */
int status_start(struct status *status, sd_event *event, struct pool *pool,
                 const struct metrics *metrics);
void status_deinit(struct status *status);

/* Something may have to be told: pool_changed_fd() has spoken. It is told when a second has passed
 * since the last time. */
void status_changed(struct status *status);

/* greetd is stopping; tells so at once, since there may be no later. */
void status_stopping(struct status *status);

/* Adds a sentence on what is wrong to the words; NULL if all is well again. Told as
 * status_changed() does. */
void status_trouble(struct status *status, const char *text);
