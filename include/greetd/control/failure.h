/* SPDX-License-Identifier: MIT */
#pragma once

/* The report of a failed start, or of an end for a reason, to the log and to systemd. All is
 * borrowed; only for the main thread, which never waits for the journal. LOGGER is NULL if its
 * thread could not be started; then sink_try_write() is used. */

#include "greetd/base/diagnostics.h"
#include "greetd/journal/logger.h"
#include "greetd/journal/sink.h"

/* Logs that WHAT failed with ERROR (negative errno). Returns the exit status. */
int failure_log(struct sink *sink, struct logger *logger, const char *what, int error);

/* Logs each line of DIAGNOSTICS; the first one is in STATUS=, too. ERROR is -EBADMSG for errors of
 * the configuration, else a negative errno. Returns the exit status. */
int failure_log_lines(struct sink *sink, struct logger *logger,
                      const struct diagnostics *diagnostics, int error);
