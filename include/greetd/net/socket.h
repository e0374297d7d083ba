/* SPDX-License-Identifier: MIT */
#pragma once

/* System calls on sockets, named for what a server wants of them. Descriptors are the caller's; any
 * thread may call these functions. */

#include <stdbool.h>
#include <stdint.h>

#include "greetd/net/address.h"

/* Makes the descriptor non-blocking. Returns 0 or a negative errno of fcntl(2). */
int socket_set_nonblocking(int fd);

/* Checks that clients can be accepted from FD: a listening socket of SOCK_STREAM or SOCK_SEQPACKET.
 * Returns 0 with the type in *RET_TYPE; else -EINVAL with a static text in *RET_WHAT, to follow
 * "is": "a regular file", "a datagram socket", "closed"; or another negative errno of fstat(2) or
 * getsockopt(2), which may be -EINVAL, too, without a text. */
int socket_check_listening(int fd, int *ret_type, const char **ret_what);

/* Reads the local address of a socket. Returns 0 or a negative errno of getsockname(2). */
int socket_read_address(int fd, struct address *ret);

/* What else decides which clients reach a socket: its protocol, network namespace and interface,
 * and whether it takes IPv4. */
#define SOCKET_SCOPE_OPTIONS 4

struct socket_scope {
    uint64_t options[SOCKET_SCOPE_OPTIONS];
};

/* Reads the scope of a socket. Options that the kernel does not have are 0. */
void socket_read_scope(int fd, struct socket_scope *ret);

bool socket_scope_equal(const struct socket_scope *a, const struct socket_scope *b);

/* Reads the address of the other end. Returns 0 or a negative errno of getpeername(2). */
int socket_read_peer_address(int fd, struct address *ret);

/* Drops the SYN of new TCP clients at a listening socket that is about to be closed. Clients in the
 * queue, or in the middle of their handshake, are not affected. A new client sends its SYN again a
 * second later; by then the socket is closed and the client is refused, or another process listens.
 * Without this a client could arrive between the last accept(2) and close(2), and be reset. Returns
 * 0, a negative errno of setsockopt(2), or -EOPNOTSUPP if this is not a TCP socket. See
 * SO_ATTACH_FILTER in socket(7). */
int socket_drop_syn(int fd);

/* Lets another socket of the same user listen at the same address (SO_REUSEPORT in socket(7)), also
 * when this one listens already. The kernel then gives each new client to one of them; its choice
 * is the hash of the client's address. Returns 0 or a negative errno of setsockopt(2). */
int socket_share_address(int fd);

/* Has the kernel choose among the N sockets that have listened longest at the address of FD, one of
 * several TCP sockets with socket_share_address(). The others get no new client, but keep those in
 * their queues and in the middle of their handshakes. See SO_ATTACH_REUSEPORT_CBPF in socket(7).
 * Returns 0 or a negative errno of setsockopt(2). */
int socket_steer(int fd, unsigned n);

/* Drops all packets to a TCP socket that is about to listen, so that it has no clients. Unlike
 * socket_drop_syn() it needs no privilege in any kernel, but it would also end handshakes. A client
 * that sends with the highest TTL, 255, is not affected. See IP_MINTTL in ip(7). */
void socket_hide(int fd);

/* Undoes socket_drop_syn(), socket_hide() and socket_steer(), if they were called. */
void socket_accept_syn(int fd);

/* Lets clients send data with their SYN and be answered before the handshake is over (RFC 7413,
 * TCP_FASTOPEN in tcp(7)): up to QUEUE of them at a time, 0 to switch it off. A replayed SYN does
 * no harm, since the greeting does not depend on the data. Returns 0, also for sockets other than
 * TCP, or a negative errno of setsockopt(2). */
int socket_set_fast_open(int fd, int queue);

/* Whether the other end has not confirmed the handshake yet, and so has acknowledged nothing. Only
 * a TCP socket accepted with Fast Open can be in this state, SYN-RECEIVED (RFC 7413, 4.2); once
 * false it stays so. */
bool socket_is_in_handshake(int fd);

/* Returns the smoothed round-trip time of a TCP connection in microseconds, 0 before it is known
 * (TCP_INFO in tcp(7)); a negative errno for another socket. */
int64_t socket_rtt_usec(int fd);

/* Returns how many bytes the other end has not acknowledged yet; a local peer acknowledges by
 * reading. HAS_FIN: the end of stream of TCP was sent, which counts as a byte there (RFC 9293, 3.4)
 * but not here. In a handshake the answer is 0, whatever was sent. Returns a negative errno if the
 * socket can't tell (SIOCOUTQ in tcp(7) and unix(7)). */
int64_t socket_unacknowledged(int fd, bool has_fin);

/* Returns how many bytes the other end of a TCP connection has acknowledged, where the end of
 * stream counts as one, also after a reset (tcpi_bytes_acked); UINT64_MAX if the kernel can't tell.
 */
uint64_t socket_acknowledged(int fd);

/* Makes close(2) discard what the other end has not acknowledged, and reset the connection
 * (SO_LINGER in socket(7)). */
void socket_reset_on_close(int fd);

/* Whether the other end has sent its end of stream, read or not, or the connection is broken
 * (POLLRDHUP in poll(2)). */
bool socket_has_hung_up(int fd);

/* Returns, once, the error (positive errno) of a broken connection, else 0 (SO_ERROR in
 * socket(7)). */
int socket_error(int fd);

/* Whether FD is readable: a listening socket has a client in its queue. */
bool socket_is_readable(int fd);

enum socket_discarded {
    SOCKET_DISCARDED_ALL,  /* there is no more input now */
    SOCKET_DISCARDED_SOME, /* there may be more, but other clients have their turn */
    SOCKET_DISCARDED_LAST, /* the other end has sent its end of stream */
    SOCKET_DISCARD_FAILED, /* recv(2) has failed; see errno */
};

/* Reads input and discards it, until none is left or about LIMIT bytes were read. RECORDS: the
 * socket is of SOCK_SEQPACKET. Adds the number of bytes to *N; an empty record counts as a byte. */
enum socket_discarded socket_discard(int fd, bool records, uint32_t limit, uint32_t *n);

/* Accepts a client of the listening socket FD. Returns its non-blocking descriptor, which is the
 * caller's, with *RET_PEER; or a negative errno of accept4(2), which is -EAGAIN if no client
 * waits. */
int socket_accept(int fd, struct peer *ret_peer);
