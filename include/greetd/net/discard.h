/* SPDX-License-Identifier: MIT */
#pragma once

/* Reading what a client sends and throwing it away, so that its sending, which nobody asked for,
 * neither blocks it nor costs it the greeting. */

#include <stdbool.h>
#include <stdint.h>

enum discarded {
    DISCARDED_ALL,    /* nothing more is there by now */
    DISCARDED_SOME,   /* there may be more, but others have their turn first */
    DISCARDED_LAST,   /* the client has sent its end of stream */
    DISCARDED_FAILED, /* recv(2) has failed; see errno */
};

/* Reads from the socket FD, RECORDS saying whether it is of SOCK_SEQPACKET, until nothing is left
 * or about LIMIT bytes have been read. Their number is added to *N; an empty record counts as a
 * byte. */
enum discarded discard(int fd, bool records, uint32_t limit, uint32_t *n);
