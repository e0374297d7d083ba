/* SPDX-License-Identifier: MIT */
#pragma once

/* The control plane: opens the listening sockets, starts the workers, and then is the main thread's
 * event loop, which hears signals, tells systemd how things are, and ends everything. */

#include <sysexits.h>

#include "greetd/config/config.h"
#include "greetd/journal/sink.h"

/* Exit statuses besides 0, EX_OSERR (71) and EX_CONFIG (78). */
#define CONTROL_EXIT_USAGE 2

/* Logs what DIAGNOSTICS has of a start that failed with ERROR, and notifies systemd. Returns the
 * exit status: EX_CONFIG if ERROR is -EBADMSG, for mistakes; else EX_OSERR, to be tried again. May
 * mark LOG as abandoned, as control_run() does, and blocks the same signals. */
int control_reject(struct sink *sink, const struct diagnostics *diagnostics, int error);

/* Serves until it is told to stop, with CONFIG first, and what OPTIONS and the files say after each
 * reload. All is borrowed. Returns the exit status: 0, EX_OSERR or EX_CONFIG; why has been logged.
 * If LOG stands still then, or a worker does not end, LOG is marked as abandoned: there are threads
 * left that use what has not been freed, and the process should leave by _exit(2). Must be called
 * with one thread running. */
int control_run(struct config *config, const struct config_options *options, struct sink *sink);
