/* SPDX-License-Identifier: MIT */
#pragma once

/* IdleExitSec=: under socket activation, leaving when nobody has come for a while; systemd starts
 * greetd again for the next client. Nobody is lost to it: accepting stops first, then the queues
 * are looked into once more, and whoever comes after that waits there for the next process. Only
 * for the main thread. */

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
    bool holding; /* the workers were told to leave newcomers in the queue */
    void (*leave)(void *userdata);
    void *userdata;
};

/* Calls LEAVE with USERDATA, once, when it is time to leave; not before idle_exit_set_timeout().
 * What is passed is borrowed until idle_exit_deinit(), which is due in any case. Returns 0 or a
 * negative errno of the event loop. */
int idle_exit_start(struct idle_exit *idle_exit, sd_event *event, struct pool *pool,
                    const struct sockets *sockets, void (*leave)(void *userdata), void *userdata);
void idle_exit_deinit(struct idle_exit *idle_exit);

/* How long there must have been no client; USEC_INFINITY to stay. */
void idle_exit_set_timeout(struct idle_exit *idle_exit, uint64_t timeout_usec);

/* pool_changed_fd() has spoken: the workers may have stopped accepting. */
void idle_exit_pool_changed(struct idle_exit *idle_exit);
