/* SPDX-License-Identifier: MIT */
#pragma once

/* The match of a configuration with the sockets that are open: it gives the bindings of a snapshot
 * and the addresses that are still to be opened. Only for the main thread. */

#include <stdbool.h>

#include "greetd/base/diagnostics.h"
#include "greetd/config/config.h"
#include "greetd/listen/snapshot.h"
#include "greetd/net/listener.h"

/* What a binding needs to be opened. */
struct match_address {
    struct address address; /* resolved */
    const char *text;       /* borrowed: as it was configured */
    int error;              /* negative errno of listener_resolve(), or 0 */
    unsigned n_older;       /* shards of the address that are older than those to be opened */
};

struct match {
    struct snapshot *snapshot; /* a reference; a binding with a NULL listener is to be opened */
    struct match_address *addresses; /* owned: of each binding; NULL if sockets were INHERITED */
};

#define MATCH_NULL ((struct match){.snapshot = NULL})

/* Matches the addresses of CONFIG with the AVAILABLE sockets; or, if sockets were INHERITED, their
 * names with those of the sections of CONFIG. With ReusePort=yes each TCP address has a shard for
 * each of N_WORKERS at least. match_deinit() is due in any case. Errors: -ENOMEM. */
int match_init(struct match *match, struct config *config, const struct listener_set *available,
               bool inherited, size_t n_workers);
void match_deinit(struct match *match);

/* Opens the missing sockets. They have no clients before listener_renew(), so that no client is
 * lost when they are closed because a later step fails. Shards that can't join the older ones of
 * their address, which another user has opened, are left out with a warning in DIAGNOSTICS. Returns
 * 0; -EBADMSG if there is no address at all; or a negative errno with the reason in DIAGNOSTICS. */
int match_open_missing(struct match *match, struct diagnostics *diagnostics);
