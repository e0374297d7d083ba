/* SPDX-License-Identifier: MIT */
#pragma once

/* The socket calls of a client: what connecting and sending take beyond connect(2) and send(2). */

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "greet/outcome.h"
#include "greetd/net/address.h"

/* Makes a non-blocking stream socket and begins to connect it: to TO, from the IPv4 address FROM
 * with a port of the kernel's choice, or if that is INADDR_ANY from where the kernel likes. Returns
 * 0 with the socket in *RET_FD, the caller's to close; whether it got through shows when it becomes
 * writable (connect(2), EINPROGRESS). Errors: what socket(2), bind(2) or connect(2) said; -EAGAIN
 * if the queue of a Unix socket is full, which no event tells the end of: try again soon
 * (unix(7)). */
int dial(int *ret_fd, const struct address *to, in_addr_t from);

/* Whether dial() failed because this process or this machine is out of something that every further
 * connection needs too. ERROR is negative, as returned. */
bool dial_error_is_local(int error);

/* What such an error, or one of the socket later, makes of the exit status. */
enum exit_status dial_exit_status(int error);

/* From how many addresses 127.0.0.1, 127.0.0.2, ... CONCURRENT connections to TO should come, for
 * none to want for a port. Local ports are scarce only by pair of addresses, and all of 127.0.0.0/8
 * is this machine's. Returns 1 where there is one only. */
unsigned dial_sources(const struct address *to, uint64_t concurrent);

/* Address number INDEX (from 0) of those, in network byte order. */
in_addr_t dial_source(unsigned index);

/* Sends on the non-blocking FD up to SIZE bytes: BYTES, or zeros if that is NULL. Returns how many
 * were taken, or the negative errno of send(2).
 *
 * The two ways in which the connection may be gone differ. -ECONNRESET: the server broke it off
 * before its end of stream. The error is told only once; a recv(2) afterwards finds a clean end, so
 * the caller has to remember it. -EPIPE: it closed after its end of stream, which is still there to
 * be read like all that came before it. */
ssize_t dial_send(int fd, const char *bytes, size_t size);
