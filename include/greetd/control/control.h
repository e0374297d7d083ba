/* SPDX-License-Identifier: MIT */
#pragma once

/* The control plane: opens the listening sockets, starts the workers, and then runs the event loop
 * of the main thread, which handles signals, notifies systemd, and stops everything. */

#include <stdbool.h>
#include <sysexits.h>

#include "greetd/config/config.h"
#include "greetd/journal/sink.h"

/* Exit statuses besides 0, EX_OSERR (71) and EX_CONFIG (78). */
#define CONTROL_EXIT_USAGE 2

/* Serves until a signal stops it: first with CONFIG, of which a reference is taken over, then with
 * what OPTIONS and the files give at each reload. All else is borrowed. Returns the exit status: 0,
 * EX_OSERR or EX_CONFIG; the reason is in the log. *RET_STUCK is set if the sink or a worker does
 * not end: then threads are left that use memory and SINK, nothing may be freed, and the process
 * should leave by _exit(2). Only for a process with one thread. */
int control_run(struct config *config, const struct config_options *options, struct sink *sink,
                bool *ret_stuck);

/* Logs DIAGNOSTICS of a start that failed with ERROR, and notifies systemd. Returns the exit
 * status: EX_CONFIG for errors of the configuration (-EBADMSG), else EX_OSERR, after which a new
 * try makes sense. Sets *RET_STUCK and blocks signals as control_run() does. */
int control_reject(struct sink *sink, const struct diagnostics *diagnostics, int error,
                   bool *ret_stuck);
