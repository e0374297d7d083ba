/* SPDX-License-Identifier: MIT */
#pragma once

/* Listening sockets: those that greetd opens itself, and those handed over to it (see handover). */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "greetd/base/cleanup.h"
#include "greetd/net/address.h"

/* One socket. It is shared by all who accept from it; the last to let go of its memory frees it,
 * from any thread. All else but USERS is only changed by the main thread, and only while nobody
 * accepts from it, or can tell the difference. */
struct listener {
    atomic_size_t references;
    atomic_uint users;      /* how many workers accept from it; see listener_release() */
    char *name;             /* owned: FileDescriptorName= of one that was passed, else NULL */
    int fd;                 /* owned, non-blocking */
    int type;               /* SOCK_STREAM or SOCK_SEQPACKET */
    struct address address; /* that it is really bound to */
    bool inherited;         /* passed by a .socket unit, else opened by greetd */
    char *stored_as;        /* owned: the name that systemd was asked to keep it under, or NULL */
    bool handed_on;  /* the next process has it too: its queue and its file are not ours to end */
    bool chose_port; /* the kernel did in this process: ListenStream= has port 0 */
    /* Of a Unix socket's file that we made, to unlink it only while it is still ours. */
    dev_t path_device;
    ino_t path_inode;
};

/* Some of them. A set of zeroes is empty. */
struct listener_set {
    struct listener **at; /* owned, and a reference to each */
    size_t n;
};

/* Makes a listener of a socket that listens. On success *FD is taken over (and -1), and *RET is the
 * caller's reference. Errors: -ENOMEM, or what getsockname(2) said. */
int listener_new(struct listener **ret, int *fd, int type);

/* Takes the file of a Unix socket for ours, to be unlinked when the socket is closed. */
void listener_own_path(struct listener *listener);

/* Opens a socket that listens on ADDRESS. The socket file of a Unix path that nobody listens on any
 * more is replaced. BACKLOG is that of listen(2). On success *RET is the caller's reference. Errors
 * are the negative errno of what failed, -ENOMEM included. */
int listener_open(struct listener **ret, const struct address *address, int backlog);

/* Whether the socket, which greetd has opened, is what opening ADDRESS would give. */
bool listener_serves(const struct listener *listener, const struct address *address);

/* Makes a socket that was opened, or stored, listen (again) with BACKLOG, and undoes
 * listener_drop_syn(). Returns 0 or a negative errno of listen(2). */
int listener_renew(struct listener *listener, int backlog);

struct listener *listener_ref(struct listener *listener);
/* Lets go of a reference; the last one closes the socket. NULL is allowed. */
void listener_unref(struct listener *listener);
DEFINE_CLEANUP_FUNCTION(struct listener, listener_unref)

/* Counts N workers that are going to accept from it; only for the main thread. */
void listener_use(struct listener *listener, unsigned n);

/* One of them is done with it; for its thread. Returns whether it was the last, so that the socket
 * may be closed. */
bool listener_release(struct listener *listener);

/* Whether any worker still accepts from it. */
bool listener_in_use(const struct listener *listener);

/* Closes the socket; its file is unlinked if it is ours. */
void listener_close(struct listener *listener);

/* The same, and ends it at once for whoever else has it open, too. Then its address can be listened
 * on again, even though systemd lets go of what it kept only when it gets round to it. */
void listener_close_for_all(struct listener *listener);

/* Makes the kernel turn newcomers away from a socket that is about to be closed, while those in its
 * queue can still be accepted. Of no effect on one that is handed on: its queue is for the next
 * process. */
void listener_drop_syn(struct listener *listener);

/* Adds LISTENER and a reference of its own. Returns 0 or -ENOMEM. */
int listener_set_add(struct listener_set *set, struct listener *listener);

/* Takes the one at INDEX out; the reference to it is the caller's. */
struct listener *listener_set_take(struct listener_set *set, size_t index);

/* Lets go of all and frees the set. */
void listener_set_deinit(struct listener_set *set);
