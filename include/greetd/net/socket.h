/* SPDX-License-Identifier: MIT */
#pragma once

/* What the kernel's answers about sockets mean to a server. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Makes the descriptor non-blocking. Returns 0 or a negative errno of fcntl(2). */
int socket_set_nonblocking(int fd);

/* Checks that FD is a socket that clients can be accepted from: SOCK_STREAM or SOCK_SEQPACKET, and
 * listening. Returns 0 with its type in *RET_TYPE; else -EINVAL with *RET_WHAT (static text) saying
 * what it is instead, to follow "is ": "a regular file", "a datagram socket", "closed". */
int socket_check_listening(int fd, int *ret_type, const char **ret_what);

/* Turns new TCP clients away from a listening socket of our own without a trace: their SYN is
 * dropped, so they ask again a second later, by when the socket is closed and they get an honest
 * refusal, or someone else listens. What is in the queue, or half through its handshake, is not
 * touched. Without it there would always be a client that arrived between the last accept(2) and
 * close(2), and was reset. Returns 0 or a negative errno of setsockopt(2); -EOPNOTSUPP if this is
 * not a TCP socket. See SO_ATTACH_FILTER in socket(7). */
int socket_drop_syn(int fd);

/* Undoes socket_drop_syn(), if it was done. */
void socket_accept_syn(int fd);

/* Lets clients send with their SYN, and be answered before the handshake is over (RFC 7413;
 * TCP_FASTOPEN in tcp(7)); up to QUEUE of them may be half through it, none if it is 0. The
 * greeting does not depend on what is sent, so a replayed SYN does no harm. Returns 0, also for
 * sockets that are not TCP and have no need of it, or a negative errno of setsockopt(2). */
int socket_set_fast_open(int fd, int queue);

/* Whether the other end has not confirmed the handshake yet, and so has acknowledged nothing; only
 * a TCP socket accepted with Fast Open can be in this state, SYN-RECEIVED (RFC 7413, 4.2). Once
 * false it stays so. */
bool socket_is_in_handshake(int fd);

/* How many bytes given to the kernel the other end has not acknowledged yet; a local peer
 * acknowledges by reading. HAS_FIN says that the end of stream was sent as well, which counts as a
 * byte of TCP (RFC 9293, 3.4) but not here. In a handshake the answer is 0, whatever was sent.
 * Returns a negative errno where the socket can't tell (SIOCOUTQ in tcp(7) and unix(7)). */
int64_t socket_unacknowledged(int fd, int family, int has_fin);

/* Whether the other end has sent its end of stream, read or not, or the connection is broken
 * (POLLRDHUP in poll(2)). */
bool socket_has_hung_up(int fd);

/* Returns the error (positive errno) of a connection that is broken, once, or 0 (SO_ERROR in
 * socket(7)). */
int socket_error(int fd);

/* Whether FD is readable, and a listening socket has a client in its queue. */
bool socket_is_readable(int fd);

enum socket_discarded {
    SOCKET_DISCARDED_ALL,  /* nothing more is there by now */
    SOCKET_DISCARDED_SOME, /* there may be more, but others have their turn first */
    SOCKET_DISCARDED_LAST, /* the client has sent its end of stream */
    SOCKET_DISCARD_FAILED, /* recv(2) has failed; see errno */
};

/* Reads from the socket FD, RECORDS saying whether it is of SOCK_SEQPACKET, until nothing is left
 * or about LIMIT bytes have been read. Their number is added to *N; an empty record counts as a
 * byte. */
enum socket_discarded socket_discard(int fd, bool records, uint32_t limit, uint32_t *n);
