/* SPDX-License-Identifier: MIT */
#pragma once

/* Listening sockets: those that greetd opens itself, and those that systemd passes. Workers share a
 * listener; its last reference frees it, from any thread. Workers only read FD, TYPE and
 * ADDRESS, which do not change while they accept; the rest is the main thread's. */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "greetd/base/cleanup.h"
#include "greetd/base/refcount.h"
#include "greetd/net/address.h"
#include "greetd/net/socket.h"

struct listener {
    struct refcount references;
    atomic_uint users;      /* workers that accept from it; listener_release() has the order */
    char *name;             /* owned: FileDescriptorName= if systemd has passed it, else NULL */
    int fd;                 /* owned, non-blocking */
    int type;               /* SOCK_STREAM or SOCK_SEQPACKET */
    struct address address; /* the bound one */
    struct socket_scope scope;
    bool inherited;  /* from a .socket unit; else opened by greetd */
    char *stored_as; /* owned: its name in the descriptor store, or NULL */
    bool handed_on;  /* inherited or stored: its queue and file outlive the process */
    bool chose_port; /* ListenStream= has port 0, and the kernel chose one in this process */
    /* The file of a Unix socket that bind(2) has made, so that no other file is unlinked. */
    dev_t path_device;
    ino_t path_inode;
};

/* Zeroes are an empty set. */
struct listener_set {
    struct listener **at; /* owned, with a reference to each */
    size_t n;
};

/* Makes a listener of a listening socket. On success *FD is taken over (and -1), and *RET is the
 * caller's reference. Errors: -ENOMEM, or a negative errno of getsockname(2). */
int listener_new(struct listener **ret, int *fd, int type);

/* Notes the file at the path of a Unix socket, to be unlinked when the socket is closed. */
void listener_own_path(struct listener *listener);

/* Resolves what ADDRESS leaves to this machine: the family of a bare port, and the number of an
 * interface. Returns 0, or a negative errno of if_nametoindex(3) with RET untouched. */
int listener_resolve(struct address *ret, const struct address *address);

/* Opens a socket that has ADDRESS, which is resolved, for itself; a socket file that no socket has
 * any more is replaced. BACKLOG is that of listen(2). It has no clients until listener_renew(), so
 * that it can be closed again without a loss: a TCP socket drops new handshakes, as
 * listener_drop_syn() does, and any other does not listen. On success *RET is the caller's
 * reference. Errors: a negative errno. */
int listener_open(struct listener **ret, const struct address *address, int backlog);

/* Opens a further socket at the TCP address of FIRST, for a part of its clients (SO_REUSEPORT in
 * socket(7)). Otherwise as above; -EADDRINUSE if another user has opened FIRST. */
int listener_open_shard(struct listener **ret, struct listener *first, int backlog);

/* Whether both are TCP sockets with the same address and scope, which share its clients. */
bool listener_shares_address(const struct listener *a, const struct listener *b);

/* Whether the socket is one that greetd has opened and that listener_open() of ADDRESS, which is
 * resolved, would give. */
bool listener_serves(const struct listener *listener, const struct address *address);

/* Listens with BACKLOG on a socket that was opened or stored, for the first time or again, and
 * undoes listener_drop_syn() and socket_steer(). Returns 0 or a negative errno of listen(2). */
int listener_renew(struct listener *listener, int backlog);

struct listener *listener_ref(struct listener *listener);
/* Drops a reference; the last one closes the socket. NULL is allowed. */
void listener_unref(struct listener *listener);
DEFINE_CLEANUP_FUNCTION(struct listener, listener_unref)

/* Adds N users, which are workers about to accept; only for the main thread. */
void listener_use(struct listener *listener, unsigned n);

/* Removes one user, in its thread. Returns whether it was the last, so that the socket may be
 * closed. */
bool listener_release(struct listener *listener);

/* Whether the socket has a user. */
bool listener_in_use(const struct listener *listener);

/* Closes the socket and unlinks its file, unless the next process has them too. */
void listener_close(struct listener *listener);

/* Closes the socket, unlinks its file, and shuts it down for all processes that have it, so that
 * its address is free at once, even while systemd still has the socket in its store. */
void listener_close_for_all(struct listener *listener);

/* Drops new handshakes at a socket that is about to be closed. Clients in its queue can still be
 * accepted. Does nothing if the next process has the socket too. */
void listener_drop_syn(struct listener *listener);

/* Adds LISTENER with a reference. Returns 0 or -ENOMEM. */
int listener_set_add(struct listener_set *set, struct listener *listener);

/* Removes the listener at INDEX; its reference is the caller's. */
struct listener *listener_set_take(struct listener_set *set, size_t index);

/* Drops all references and frees the set. */
void listener_set_deinit(struct listener_set *set);
