/* SPDX-License-Identifier: MIT */
#pragma once

/* What the kernel's answers about sockets mean to a server. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What to do after accept4(2) failed. */
enum sockutil_accept {
    SOCKUTIL_ACCEPT_EMPTY,     /* nobody is waiting: come back when epoll says so */
    SOCKUTIL_ACCEPT_NEXT,      /* this client is gone already; the next one may be there */
    SOCKUTIL_ACCEPT_DENIED,    /* a security module forbids it: pause, then try again */
    SOCKUTIL_ACCEPT_EXHAUSTED, /* out of descriptors or memory: pause, then try again */
    SOCKUTIL_ACCEPT_BROKEN,    /* the socket itself is of no more use */
};

/* Sorts an errno (positive) of accept4(2) by what to do. The network errors that Linux passes on
 * from the client are its own, not ours: see "Error handling" in accept(2). */
enum sockutil_accept sockutil_accept_class(int error);

/* Makes the descriptor non-blocking. Returns 0 or a negative errno of fcntl(2). */
int sockutil_set_nonblocking(int fd);

/* Checks that FD is a socket that clients can be accepted from: SOCK_STREAM or SOCK_SEQPACKET, and
 * listening. Returns 0 with its type in *RET_TYPE; else -EINVAL with *RET_WHAT (static text) saying
 * what it is instead, to follow "is ": "a regular file", "a datagram socket", "closed". */
int sockutil_check_listening(int fd, int *ret_type, const char **ret_what);

/* Turns new TCP clients away from a listening socket of our own without a trace: their SYN is
 * dropped, so they ask again a second later, by when the socket is closed and they get an honest
 * refusal, or someone else listens. What is in the queue, or half through its handshake, is not
 * touched. Without it there would always be a client that arrived between the last accept(2) and
 * close(2), and was reset. Returns 0 or a negative errno of setsockopt(2); -EOPNOTSUPP if this is
 * not a TCP socket. See SO_ATTACH_FILTER in socket(7). */
int sockutil_drop_newcomers(int fd);

/* Undoes sockutil_drop_newcomers(), if it was done. */
void sockutil_take_newcomers(int fd);

/* Lets clients send with their SYN, and be answered before the handshake is over (RFC 7413;
 * TCP_FASTOPEN in tcp(7)); up to QUEUE of them may be half through it, none if it is 0. The
 * greeting does not depend on what is sent, so a replayed SYN does no harm. Returns 0, also for
 * sockets that are not TCP and have no need of it, or a negative errno of setsockopt(2). */
int sockutil_set_fast_open(int fd, int queue);

/* Whether the other end has not confirmed the handshake yet, and so has acknowledged nothing; only
 * a TCP socket accepted with Fast Open can be in this state, SYN-RECEIVED (RFC 7413, 4.2). Once
 * false it stays so. */
bool sockutil_is_in_handshake(int fd);

/* How many bytes given to the kernel the other end has not acknowledged yet; a local peer
 * acknowledges by reading. HAS_FIN says that the end of stream was sent as well, which counts as a
 * byte of TCP (RFC 9293, 3.4) but not here. In a handshake the answer is 0, whatever was sent.
 * Returns a negative errno where the socket can't tell (SIOCOUTQ in tcp(7) and unix(7)). */
int64_t sockutil_unacknowledged(int fd, int family, int has_fin);

/* Whether the other end has sent its end of stream, read or not, or the connection is broken
 * (POLLRDHUP in poll(2)). */
bool sockutil_has_hung_up(int fd);

/* Returns the error (positive errno) of a connection that is broken, once, or 0 (SO_ERROR in
 * socket(7)). */
int sockutil_error(int fd);

/* Whether FD is readable, and a listening socket has a client in its queue. */
bool sockutil_is_readable(int fd);

/* Waits until FD, which need be no socket, is readable, or until DEADLINE (CLOCK_MONOTONIC
 * microseconds; DEADLINE_NEVER). Returns whether it is. */
bool sockutil_await_readable(int fd, uint64_t deadline_usec);
