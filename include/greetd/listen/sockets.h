/* SPDX-License-Identifier: MIT */
#pragma once

/* The sockets that greetd listens on, now and after each reload: those that systemd has passed, or
 * else those of the configuration. Only for the main thread. */

#include <stdbool.h>
#include <stddef.h>

#include "greetd/base/diagnostics.h"
#include "greetd/config/config.h"
#include "greetd/listen/snapshot.h"
#include "greetd/net/listener.h"

/* Zeroes are no sockets. */
struct sockets {
    struct snapshot *snapshot;   /* a reference: the one in force */
    struct listener_set leaving; /* not in the snapshot any more, but workers may still use them */
    size_t n_workers;            /* that accept from the sockets, until the process ends */
    size_t n_not_kept;           /* of the snapshot: beyond FileDescriptorStoreMax= */
    bool inherited;              /* systemd has passed all of them, else greetd has opened them */
};

/* Takes the sockets that systemd passed, for N_WORKERS; or opens every ListenStream= of CONFIG that
 * systemd has not kept since an earlier process, and has systemd keep them. Kept sockets that
 * CONFIG does not name are closed first, and stay closed if a later step fails. Returns 0, with
 * warnings about kept sockets in DIAGNOSTICS; -EBADMSG if a passed descriptor or the
 * configuration can't be used; or a negative errno. DIAGNOSTICS then has the reason.
 * sockets_deinit() is due in any case. */
int sockets_open(struct sockets *sockets, struct config *config, size_t n_workers,
                 struct diagnostics *diagnostics);

/* Prepares the snapshot for another CONFIG: opens new addresses, and keeps sockets that are still
 * configured. All sockets stay in force meanwhile, so a new address that overlaps with an old one
 * fails with -EADDRINUSE. On success *RET is the caller's reference, for sockets_activate();
 * dropping it undoes everything. Warnings and errors as above; nothing has changed after an error.
 */
int sockets_prepare(struct snapshot **ret, const struct sockets *sockets, struct config *config,
                    struct diagnostics *diagnostics);

/* Puts SNAPSHOT of sockets_prepare() in force. Sockets that it does not have drop new handshakes;
 * sockets_close_leaving() closes them. The snapshot is in force all the same if listen(2) or
 * FastOpen=yes failed at a socket: returns 0, or their negative errno, with the reasons in
 * DIAGNOSTICS. */
int sockets_activate(struct sockets *sockets, struct snapshot *snapshot,
                     struct diagnostics *diagnostics);

/* Closes the sockets of one leaving address that no worker uses any more, and writes it to ADDRESS
 * (ADDRESS_TEXT_MAX bytes). Returns false if there is none. Shards of an address are closed
 * together: a worker that uses one may look into the queues of the others. */
bool sockets_close_leaving(struct sockets *sockets, char *address);

/* Drops new handshakes at the sockets in force that AFTER, of sockets_prepare(), does not have, and
 * removes them from the descriptor store. With NULL: at all sockets that the next process does not
 * get; if it gets other shards of the address, new clients are for these. */
void sockets_drop_syn(const struct sockets *sockets, const struct snapshot *after);

/* Closes the sockets of all addresses that no worker uses any more, before the process ends. */
void sockets_close_unused(struct sockets *sockets);

/* Closes and frees everything. */
void sockets_deinit(struct sockets *sockets);

/* The [Server] settings in force; borrowed from the snapshot. */
static inline const struct server_settings *sockets_server(const struct sockets *sockets)
{
    return config_server(sockets->snapshot->config);
}

/* Whether any socket has the greeting of LISTENER. */
bool sockets_use(const struct sockets *sockets, const struct config_listener *listener);

/* Whether a client waits in any queue. */
bool sockets_have_clients(const struct sockets *sockets);
