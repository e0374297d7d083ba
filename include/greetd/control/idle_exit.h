/* SPDX-License-Identifier: MIT */
#pragma once

/* IdleExitSec=: under socket activation, exit after a time without clients; systemd starts greetd
 * again for the next one. No client is lost: accepting stops first, then the queues are checked
 * once more, and a later client waits there for the next process. Only for the main thread. */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "greetd/listen/sockets.h"
#include "greetd/worker/pool.h"

struct idle_exit {
    struct pool *pool;             /* borrowed */
    const struct sockets *sockets; /* borrowed */
    sd_event_source *timer;        /* owned */
    uint64_t started_usec, timeout_usec;
    bool holding; /* the workers leave clients in the queues */
    void (*leave)(void *userdata);
    void *userdata;
};

/* Calls LEAVE with USERDATA, once, when greetd should exit; never before idle_exit_set_timeout().
 * All is borrowed until idle_exit_deinit(), which is due in any case. Returns 0 or a negative errno
 * of the event loop. */
int idle_exit_start(struct idle_exit *idle_exit, sd_event *event, struct pool *pool,
                    const struct sockets *sockets, void (*leave)(void *userdata), void *userdata);
void idle_exit_deinit(struct idle_exit *idle_exit);

/* Sets the time without clients; USEC_INFINITY: never exit. */
void idle_exit_set_timeout(struct idle_exit *idle_exit, uint64_t timeout_usec);

/* To be called when pool_changed_fd() is readable: the workers may have stopped accepting. */
void idle_exit_pool_changed(struct idle_exit *idle_exit);
