/* SPDX-License-Identifier: MIT */
#pragma once

/* Which sockets greetd listens on, and how the clients of each are greeted: those that systemd
 * passed, or else those that the configuration names, now and after each reload. Only for the main
 * thread. */

#include <stdbool.h>

#include "greetd/base/diagnostics.h"
#include "greetd/config/config.h"
#include "greetd/listen/snapshot.h"
#include "greetd/net/listener.h"

/* A set of zeroes is empty. */
struct sockets {
    struct snapshot *snapshot;   /* a reference: those in force */
    struct listener_set leaving; /* no longer wanted, but workers may not have let go of them */
    size_t n_not_kept;           /* of those in force, that systemd has no room for */
    bool inherited;              /* all were passed by systemd, else greetd opened them */
};

/* Takes what systemd passed, or opens every ListenStream= of CONFIG that systemd has not kept since
 * an earlier process, and has systemd keep them. What it has kept and CONFIG does not want is
 * closed first, and stays closed if something then fails. Returns 0, when DIAGNOSTICS has what to
 * warn of: sockets that were kept and can't be used; -EBADMSG if what was passed or configured
 * can't be listened on; -ENOMEM, or the negative errno of what the system refused. DIAGNOSTICS then
 * says what failed and where. sockets_deinit() is due in any case. */
int sockets_open(struct sockets *sockets, struct config *config, struct diagnostics *diagnostics);

/* Prepares what is to be in force under another CONFIG: addresses that are new are opened, sockets
 * that are still wanted are kept. One that is not wanted is still in force, so that an address that
 * overlaps with its own fails with -EADDRINUSE. On success *RET is the caller's reference, for
 * sockets_activate(); to let go of it is to go back. Errors as above; nothing has changed then. */
int sockets_prepare(struct snapshot **ret, const struct sockets *sockets, struct config *config,
                    struct diagnostics *diagnostics);

/* Puts ENDPOINTS, prepared by sockets_prepare(), in force. From sockets that are not wanted any
 * more newcomers are turned away; sockets_close_left() closes them. Returns 0, or the negative
 * errno of setsockopt(2) if FastOpen=yes could not be set, without which it is in force all the
 * same. */
int sockets_activate(struct sockets *sockets, struct snapshot *snapshot);

/* Closes one socket that is no longer wanted and that no worker uses any more, and writes its
 * address to ADDRESS (ADDRESS_TEXT_MAX bytes). Returns false if there is none. */
bool sockets_close_left(struct sockets *sockets, char *address);

/* Turns newcomers away from the sockets in force that are not among WANTED, prepared by
 * sockets_prepare(), and systemd no longer keeps these. With NULL: from all sockets that the next
 * process does not get. */
void sockets_drop_syn(const struct sockets *sockets, const struct snapshot *wanted);

/* Closes all sockets that no worker uses any more: the process is about to end. */
void sockets_close_unused(struct sockets *sockets);

/* Closes and frees everything. */
void sockets_deinit(struct sockets *sockets);

/* Whether the clients of any socket are greeted as LISTENER says. */
bool sockets_use(const struct sockets *sockets, const struct config_listener *listener);

/* Whether a client waits in the queue of any of them. */
bool sockets_have_clients(const struct sockets *sockets);
