/* SPDX-License-Identifier: MIT */
#pragma once

/* Reports to the log and to systemd why greetd ends or does not start. Everything is borrowed; only
 * for the main thread, which never writes to the journal itself, since the journal may stand still.
 * CONNLOG is the way to LOG, and NULL if its thread could not be started: then an entry for the
 * journal goes past it. */

#include "greetd/base/diagnostics.h"
#include "greetd/journal/logger.h"
#include "greetd/journal/sink.h"

/* Reports that the system refused WHAT with ERROR (negative errno). Returns the exit status for
 * it. */
int failure_log(struct sink *sink, struct logger *logger, const char *what, int error);

/* Reports every line of DIAGNOSTICS as an entry; systemd learns the first one. ERROR is -EBADMSG if
 * they are mistakes of the configuration, or what the system refused with. Returns the exit status
 * for it. */
int failure_log_lines(struct sink *sink, struct logger *logger,
                      const struct diagnostics *diagnostics, int error);
