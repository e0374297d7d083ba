/* SPDX-License-Identifier: MIT */
#pragma once

/* The watchdog of systemd: WATCHDOG=1 of sd_notify(3) is sent only while every worker makes rounds
 * of its loop. Idle workers are woken to make one. The log thread may block for any time, since no
 * client waits for it. A spare descriptor makes room for the message when clients have all others.
 * Only for the main thread. */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "greetd/journal/logger.h"
#include "greetd/worker/pool.h"

struct watchdog {
    struct pool *pool;      /* borrowed */
    struct logger *logger;  /* borrowed */
    sd_event_source *timer; /* owned; NULL without WatchdogSec= */
    int spare_fd;           /* owned if there is a timer, or -1 */
    uint64_t timeout_usec;  /* WatchdogSec= of the unit */
    uint64_t notified_usec; /* when WATCHDOG=1 was sent last */
    bool logged_stuck;      /* since then */
};

/* Starts watching POOL if the unit has WatchdogSec= (sd_watchdog_enabled(3)). POOL and LOGGER are
 * borrowed until watchdog_deinit(), which is due in any case. Returns 0 or a negative errno of the
 * event loop. */
int watchdog_start(struct watchdog *watchdog, sd_event *event, struct pool *pool,
                   struct logger *logger);
void watchdog_deinit(struct watchdog *watchdog);
