/* SPDX-License-Identifier: MIT */
#pragma once

/* The stop: with StopDelaySec= clients are still accepted for that time and receive StopMessage=;
 * then the workers greet the clients that they have, at most for StopTimeoutSec=. systemd is
 * notified with STOPPING=1 (sd_notify(3)). Only for the main thread. */

#include <stdbool.h>
#include <systemd/sd-event.h>

#include "greetd/control/messages.h"
#include "greetd/control/reload.h"
#include "greetd/control/status.h"
#include "greetd/journal/logger.h"
#include "greetd/listen/handshake.h"
#include "greetd/listen/sockets.h"
#include "greetd/metrics/metrics.h"
#include "greetd/worker/pool.h"

/* How long the workers may take to end, and then the log thread to write the last entries. */
#define STOP_WORKERS_USEC 2000000
#define STOP_LOG_USEC     1000000

/* All pointers are borrowed. The event loop ends with status 0 when the time is over. The caller
 * ends it before, when pool_state() is WORKER_ENDED. */
struct stop {
    sd_event *event;
    struct sockets *sockets;
    struct pool *pool;
    struct logger *logger;
    struct metrics *metrics;
    struct status *status;
    struct handshake *handshake;
    struct messages *messages;
    const struct reload *reload;
    bool requested; /* no reload begins any more */
    bool begun;     /* STOPPING=1 was sent and the delay is over */
};

/* Begins the stop after StopDelaySec=, which is for sockets that greetd has opened itself: other
 * sockets are accepted from by the next process. Returns 0 or a negative errno of the event loop.
 */
int stop_request(struct stop *stop);

/* Begins the stop at once. Returns as above. */
int stop_begin(struct stop *stop);

/* Continues after a prepared reload has come into force: its new sockets may have clients. */
void stop_reload_activated(struct stop *stop);
