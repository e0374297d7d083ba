/* SPDX-License-Identifier: MIT */
#pragma once

/* A reload: another configuration is loaded, with all that is needed to serve it, and either put in
 * force as a whole or not at all. Only for the main thread. */

#include <stdbool.h>

#include "greetd/config/config.h"
#include "greetd/control/status.h"
#include "greetd/journal/logger.h"
#include "greetd/listen/sockets.h"
#include "greetd/worker/pool.h"

/* What a reload works on, borrowed, and what it has prepared, owned. */
struct reload {
    const struct config_options *options; /* the command line, which stays in force */
    const struct config *started;         /* the configuration that Workers= and such are from */
    struct sockets *sockets;
    struct pool *pool;
    struct logger *logger;
    struct status *status;
    bool wanted;                 /* set by whoever wants a reload, before reload_advance() */
    bool running;                /* from RELOADING=1 until READY=1 */
    bool loaded;                 /* there is something new, which the workers take up meanwhile */
    struct snapshot *snapshot;   /* between reload_advance() and reload_activate(), else NULL */
    struct generation *prepared; /* of these */
};

/* Begins a reload if one is wanted and the one before is over; ends one that all workers have taken
 * up. To be called for a new wish, and whenever pool_changed_fd() has spoken. systemd and the
 * journal are told how it goes: RELOADING=1 and READY=1 of sd_notify(3). If anything is wrong with
 * what was loaded, each mistake is logged and everything stays as it was. Returns whether
 * reload_activate() is due, which can't fail. */
bool reload_advance(struct reload *reload);

/* Puts in force what has been prepared. */
void reload_activate(struct reload *reload);

/* Lets go of what has been prepared and was not put in force. */
void reload_deinit(struct reload *reload);

/* What the [Log] settings of CONFIG say. */
struct logger_options announce_log_options(const struct config *config);

/* Logs that clients are accepted at each of ENDPOINTS that is not one of BEFORE (NULL for none). */
void announce_listening(struct logger *logger, const struct snapshot *snapshot,
                        const struct snapshot *before);

/* Logs the lines of DIAGNOSTICS, from sockets_open(): stored sockets that are of no use. */
void announce_unusable(struct logger *logger, const struct diagnostics *diagnostics);

/* Logs that systemd does not keep all sockets for the next process, if that is so. */
void announce_not_kept(struct logger *logger, const struct sockets *sockets);

/* Logs which sections and settings of CONFIG have no effect on SOCKETS. */
void announce_unused(struct logger *logger, const struct config *config,
                     const struct sockets *sockets);
