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
    struct connlog *connlog;
    struct status *status;
    bool wanted;                 /* set by whoever wants a reload, before reload_go_on() */
    bool running;                /* from RELOADING=1 until READY=1 */
    bool loaded;                 /* there is something new, which the workers take up meanwhile */
    struct endpoints *endpoints; /* between reload_go_on() and reload_put_in_force(), else NULL */
    struct generation *prepared; /* of these */
};

/* Begins a reload if one is wanted and the one before is over; ends one that all workers have taken
 * up. To be called for a new wish, and whenever pool_changed_fd() has spoken. systemd and the
 * journal are told how it goes: RELOADING=1 and READY=1 of sd_notify(3). If anything is wrong with
 * what was loaded, each mistake is logged and everything stays as it was. Returns whether
 * reload_put_in_force() is due, which can't fail. */
bool reload_go_on(struct reload *reload);

/* Puts in force what has been prepared. */
void reload_put_in_force(struct reload *reload);

/* Lets go of what has been prepared and was not put in force. */
void reload_deinit(struct reload *reload);

/* What the [Log] settings of CONFIG say. */
struct connlog_options reload_log_options(const struct config *config);

/* Logs that clients are accepted at each of ENDPOINTS that is not one of BEFORE (NULL for none). */
void reload_log_listening(struct connlog *connlog, const struct endpoints *endpoints,
                          const struct endpoints *before);

/* Logs the lines of REPORT, from sockets_open(): stored sockets that are of no use. */
void reload_log_unusable(struct connlog *connlog, const struct report *report);

/* Logs that systemd does not keep all sockets for the next process, if that is so. */
void reload_log_unkept(struct connlog *connlog, const struct sockets *sockets);

/* Logs which sections and settings of CONFIG have no effect on SOCKETS. */
void reload_log_unused(struct connlog *connlog, const struct config *config,
                       const struct sockets *sockets);
