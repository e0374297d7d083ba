/* SPDX-License-Identifier: MIT */
#pragma once

/* A reload: a new configuration is loaded, with all that is needed to serve it, and is put in force
 * as a whole or not at all. It waits twice without blocking: for handshakes at sockets that are
 * about to be closed, and for the workers to adopt the new snapshot. Only for the main thread. */

#include <stdbool.h>

#include "greetd/config/config.h"
#include "greetd/control/messages.h"
#include "greetd/control/status.h"
#include "greetd/control/unit_states.h"
#include "greetd/journal/logger.h"
#include "greetd/listen/handshake.h"
#include "greetd/listen/sockets.h"
#include "greetd/metrics/metrics.h"
#include "greetd/worker/pool.h"

enum reload_state {
    RELOAD_IDLE,
    RELOAD_PREPARED, /* waits for handshakes; has a snapshot that is not in force yet */
    RELOAD_ADOPTING, /* the snapshot is in force; waits for the workers */
};

/* All pointers are borrowed, but for the last two. */
struct reload {
    const struct config_options *options;  /* the command line */
    const struct server_settings *started; /* those that the process has started with */
    struct sockets *sockets;
    struct pool *pool;
    struct logger *logger;
    struct metrics *metrics;
    struct status *status;
    struct handshake *handshake;
    struct messages *messages;
    struct unit_states *unit_states;
    void (*activated)(void *userdata); /* called when a new configuration is in force */
    void *userdata;
    bool requested;
    enum reload_state state;
    struct snapshot *snapshot;   /* in RELOAD_PREPARED: a reference */
    struct generation *prepared; /* in RELOAD_PREPARED: owned, of that snapshot */
};

/* Starts a reload if one is requested, none is under way and the workers are settled; finishes one
 * that all workers have adopted. Call it after setting REQUESTED, and whenever pool_changed_fd() is
 * readable. systemd is notified with RELOADING=1 and READY=1 (sd_notify(3)). If the new
 * configuration can't be served, each error is logged and the old one stays. */
void reload_advance(struct reload *reload);

/* Frees what a reload has prepared and not put in force. */
void reload_deinit(struct reload *reload);
