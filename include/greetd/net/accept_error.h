/* SPDX-License-Identifier: MIT */
#pragma once

/* The errors of accept4(2): what a server does after each, and which are counted. Pure. */

#include <stddef.h>

enum accept_error_class {
    ACCEPT_QUEUE_EMPTY,   /* no client is waiting: wait for epoll */
    ACCEPT_CLIENT_GONE,   /* this client is gone already; the next one may be there */
    ACCEPT_DENIED,        /* a security module forbids it: pause, then try again */
    ACCEPT_NO_RESOURCES,  /* out of descriptors or memory: evict a client, or else pause */
    ACCEPT_SOCKET_BROKEN, /* the socket itself is of no more use */
};

/* How many errors are counted: all after which accept4(2) may succeed again, but for EAGAIN and
 * EINTR, which are no failures. */
#define ACCEPT_ERRORS_N 16

/* Returns what to do after ERROR (positive errno). Linux passes on network errors of the client,
 * which are no errors of the server: see "Error handling" in accept(2). */
enum accept_error_class accept_error_class(int error);

/* Returns the number from 0 of ERROR (positive errno) among those that are counted, or
 * ACCEPT_ERRORS_N. */
size_t accept_error_index(int error);

/* Returns the error (positive errno) with number INDEX among those that are counted. */
int accept_error_at(size_t index);
