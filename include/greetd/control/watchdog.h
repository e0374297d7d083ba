/* SPDX-License-Identifier: MIT */
#pragma once

/* Proves to systemd that greetd serves: WATCHDOG=1 of sd_notify(3), but only while every worker
 * goes round its loop. A worker that has nothing to do is woken to prove it. The thread of the log
 * may stand still as long as it likes, for no client waits for it. Only for the main thread. */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "greetd/journal/logger.h"
#include "greetd/worker/pool.h"

struct watchdog {
    struct pool *pool;      /* borrowed */
    struct logger *logger;  /* borrowed */
    sd_event_source *timer; /* owned; NULL if systemd does not ask */
    uint64_t timeout_usec;  /* WatchdogSec= of the unit */
    uint64_t notified_usec; /* when WATCHDOG=1 was sent last */
    bool logged_stuck;      /* since then */
};

/* Does so from now on, if the unit has WatchdogSec= (sd_watchdog_enabled(3)). POOL and CONNLOG are
 * borrowed until watchdog_deinit(), which is due in any case. Returns 0 or a negative errno of the
 * event loop. */
int watchdog_start(struct watchdog *watchdog, sd_event *event, struct pool *pool,
                   struct logger *logger);
void watchdog_deinit(struct watchdog *watchdog);
