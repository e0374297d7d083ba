/* SPDX-License-Identifier: MIT */
#pragma once

/* The file descriptor store of systemd: the sockets that greetd opens itself, kept for the next
 * process (FileDescriptorStoreMax= in systemd.service(5)). The store is only a cache: a socket that
 * it does not have is opened again. Only for the main thread. */

#include <stdbool.h>
#include <stddef.h>

#include "greetd/net/listener.h"

/* Returns how many sockets may be stored: systemd closes those beyond that. SIZE_MAX if systemd
 * does not tell; it may keep none then, so greetd relies on none. */
size_t fdstore_max(void);

/* Asks systemd to keep a socket that greetd has opened for the next process, under a name that no
 * other socket has (FDSTORE=1 in sd_notify(3)). SHARD is its number among the sockets of its
 * address. Does nothing without a service manager. */
void fdstore_add(struct listener *listener, unsigned shard);

/* Returns the number of the shard that is stored as NAME. */
unsigned fdstore_shard(const char *name);

/* Asks systemd to drop a socket that this process or an earlier one has stored (FDSTOREREMOVE=1);
 * no other process has it then. If systemd can't be asked, as without a descriptor, the socket
 * stays stored, and a further call tries again. */
void fdstore_remove(struct listener *listener);

/* Asks systemd to drop the descriptor stored as NAME. Returns a negative errno if that fails. */
int fdstore_forget(const char *name);

/* Whether NAME is that of a descriptor in the store. */
bool fdstore_is_name(const char *name);

/* Takes over a socket that an earlier process has stored as NAME, like one that this process has
 * opened. Returns 0 or -ENOMEM. */
int fdstore_adopt(struct listener *listener, const char *name);
