/* SPDX-License-Identifier: MIT */
#pragma once

/* The log entries of a start and of a reload: where clients are accepted, and which parts of the
 * configuration have no effect; and the report of a failure that ends the process, to the log and
 * to systemd. All is borrowed. Only for the main thread, which never waits for the journal.
 */

#include "greetd/base/diagnostics.h"
#include "greetd/config/config.h"
#include "greetd/journal/logger.h"
#include "greetd/journal/sink.h"
#include "greetd/listen/snapshot.h"
#include "greetd/listen/sockets.h"

/* Returns the options of the log in the [Log] settings of CONFIG. */
struct logger_options announce_options(const struct config *config);

/* Logs all that a start has to announce: DIAGNOSTICS of sockets_open(), which are stored sockets
 * that can't be used, and then as announce_listening(), announce_unused() and announce_not_kept()
 * do. */
void announce_start(struct logger *logger, const struct config *config,
                    const struct sockets *sockets, const struct diagnostics *diagnostics);

/* Logs the address of each listener of SNAPSHOT that is not in BEFORE (NULL: of all). */
void announce_listening(struct logger *logger, const struct snapshot *snapshot,
                        const struct snapshot *before);

/* Logs each line of DIAGNOSTICS as a warning of the kind ID (a MESSAGE_ID_*). */
void announce_warnings(struct logger *logger, const char *id,
                       const struct diagnostics *diagnostics);

/* Logs that the server no longer listens on ADDRESS. */
void announce_closed(struct logger *logger, const char *address);

/* Logs that systemd does not keep all sockets for the next process, if that is so. */
void announce_not_kept(struct logger *logger, const struct sockets *sockets);

/* Logs which sections and settings of CONFIG have no effect on SOCKETS. */
void announce_unused(struct logger *logger, const struct config *config,
                     const struct sockets *sockets);

/* Logs which settings of CONFIG differ from those that the process has STARTED with and need a
 * restart. */
void announce_needs_restart(struct logger *logger, const struct server_settings *started,
                            const struct config *config);

/* Logs that WHAT failed with ERROR (negative errno), and notifies systemd. LOGGER is NULL if its
 * thread could not be started; then sink_try_write() is used. Returns the exit status. */
int announce_failure(struct sink *sink, struct logger *logger, const char *what, int error);

/* Logs each line of DIAGNOSTICS likewise; the first one is in STATUS=, too. ERROR is -EBADMSG for
 * errors of the configuration, else a negative errno. Returns the exit status. */
int announce_failure_lines(struct sink *sink, struct logger *logger,
                           const struct diagnostics *diagnostics, int error);
