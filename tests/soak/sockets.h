/* SPDX-License-Identifier: MIT */
#pragma once

/* The sockets of the soak's clients: where they connect to, and from which addresses. */

#include "kinds.h"

struct addresses {
    unsigned short first_port; /* of the listeners, in the order of enum listener */
    const char *path, *name;   /* of LOCAL and ABSTRACT */
    unsigned long n_sharing;   /* clients so far that share a source */
};

/* Prints SUBJECT and errno, and exits with 2. */
_Noreturn void fail(const char *subject);

/* Opens a socket for a client, bound to an address of its own. */
int sockets_open(struct addresses *addresses, const struct identity *identity);

/* Begins to connect it; returns 0 or a negative errno, -EAGAIN if a Unix queue is full. */
int sockets_connect(const struct addresses *addresses, const struct identity *identity, int fd);
