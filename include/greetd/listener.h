/* SPDX-License-Identifier: MIT */
#pragma once

/* Listening sockets: those that systemd passes, and those that greetd opens itself. */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "greetd/address.h"
#include "greetd/report.h"
#include "greetd/util.h"

struct listener {
    char *name;             /* owned: FileDescriptorName=, or the configuration's section */
    int fd;                 /* owned, non-blocking */
    int type;               /* SOCK_STREAM or SOCK_SEQPACKET */
    struct address address; /* that it is really bound to */
    bool inherited;         /* shared with systemd and with the process after us */
    /* Of a Unix socket's file that we made, to unlink it only while it is still ours. */
    dev_t path_device;
    ino_t path_inode;
};

/* All of them. A set of zeroes is empty. */
struct listener_set {
    struct listener *listeners; /* owned */
    size_t n;
};

/* Takes the sockets that systemd passed (sd_listen_fds_with_names(3)), makes them non-blocking and
 * removes the variables that announce them from the environment. Returns how many there are, 0 if
 * none was passed; -EBADMSG if some can't be used, each of which is then named in REPORT; or what
 * failed. SET must be empty. */
int listener_inherit(struct listener_set *set, struct report *report);

/* Opens a socket that listens on ADDRESS and adds it to SET. The socket file of a Unix path that
 * nobody listens on any more is replaced. NAME is copied; BACKLOG is that of listen(2). Returns 0
 * or the negative errno of what failed, -ENOMEM included. */
int listener_open(struct listener_set *set, const char *name, const struct address *address,
                  int backlog);

/* Closes them all and frees the set. Socket files that listener_open() made are unlinked. */
void listener_set_deinit(struct listener_set *set);

/* Closes one; its socket file is unlinked if it is ours. It stays in its set, with fd = -1. */
void listener_close(struct listener *listener);

/* Makes the kernel turn newcomers away from a socket that is about to be closed, while those in its
 * queue can still be accepted. Of no effect on inherited sockets: their queue is for the next
 * process. */
void listener_drop_newcomers(struct listener *listener);
