/* SPDX-License-Identifier: MIT */
#pragma once

/* A client's side of one connection, without waiting: connect, send, receive, and compare with the
 * expected greeting. Callers own every descriptor and buffer; any thread may call these functions.
 * Errors are negative errnos. */

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "greetd/greeting/greeting.h"
#include "greetd/guard/proxy_format.h"
#include "greetd/net/address.h"
#include "greetd/net/peer.h"

/* The result of one connection. */
enum outcome {
    OUTCOME_OK,
    OUTCOME_REFUSED,     /* no process listens at the address */
    OUTCOME_RESET,       /* the server or a middlebox reset the connection */
    OUTCOME_SHORT,       /* the stream ended before the greeting was complete */
    OUTCOME_WRONG,       /* a byte differs, or there are too many */
    OUTCOME_TIMEOUT,     /* no end of stream within --timeout */
    OUTCOME_UNREACHABLE, /* no route, or no permission */
    OUTCOME_NO_PORT,     /* this machine has no free local port; not the server's fault */
    OUTCOMES,
};

/* For monitoring. A greater status is worse, except for EXIT_STATUS_UNABLE, which is unrelated to
 * the server. */
enum exit_status {
    EXIT_STATUS_OK = 0,
    EXIT_STATUS_WRONG = 1,  /* not the expected greeting */
    EXIT_STATUS_LOST = 2,   /* refused, unreachable, timed out or reset */
    EXIT_STATUS_UNABLE = 3, /* a bad command line, or greet itself failed */
};

/* Maps an ERROR of connect(2), send(2) or recv(2) to an outcome: see tcp(7), ip(7) and unix(7). */
enum outcome outcome_from_error(int error);

/* Returns the name for text and JSON, such as `no_port`. Static text. */
const char *outcome_name(enum outcome outcome);

enum exit_status outcome_exit_status(enum outcome outcome);

/* Starts to connect a new non-blocking stream socket to TO. FROM is the local IPv4 address in
 * network byte order, or INADDR_ANY to leave the choice to the kernel. On success *RET_FD is the
 * caller's; it becomes writable once the connection is established or has failed (connect(2),
 * EINPROGRESS). Errors: those of socket(2), bind(2) and connect(2). -EAGAIN means that the queue of
 * a Unix socket is full (unix(7)). No event reports its end, so try again soon. */
int exchange_connect(int *ret_fd, const struct address *to, in_addr_t from);

/* Whether ERROR, from exchange_connect(), is a shortage of this process or machine. Every further
 * connection would fail the same way. */
bool exchange_error_is_local(int error);

/* Returns the exit status for an ERROR of this connection. */
enum exit_status exchange_exit_status(int error);

/* Returns how many source addresses (127.0.0.1, 127.0.0.2, ...) CONCURRENT connections to TO need,
 * so that each has a local port. A port is in use only per pair of addresses, and all of
 * 127.0.0.0/8 belongs to this machine. Returns 1 if TO is elsewhere. */
unsigned exchange_count_sources(const struct address *to, uint64_t concurrent);

/* Returns source address INDEX (from 0), in network byte order. */
in_addr_t exchange_source(unsigned index);

/* Sends up to SIZE bytes on the non-blocking FD: BYTES, or zeros if that is NULL. MORE: others
 * follow at once and share a packet with these (MSG_MORE in send(2)), since Nagle's algorithm would
 * delay them. Returns how many the kernel took, or an error of send(2). Two of those mean a closed
 * connection:
 * -ECONNRESET: the server reset it before its end of stream. The kernel reports this only once and
 * recv(2) then finds a clean end of stream, so the caller must remember it.
 * -EPIPE: the server closed after its end of stream; recv(2) still returns the whole greeting. */
ssize_t exchange_send(int fd, const char *bytes, size_t size, bool more);

/* Compares a stream of bytes with a greeting, piece by piece. */
struct comparison {
    const struct greeting *expected; /* borrowed */
    size_t matched;                  /* bytes that were equal, up to the first difference */
    bool differs;                    /* a byte differs, or there is one too many */
    unsigned char got;               /* that byte */
};

/* Compares the next SIZE bytes. Returns whether all bytes up to now are equal. */
bool comparison_add(struct comparison *comparison, const char *bytes, size_t size);

/* Room for comparison_explain(), with its '\0'. */
#define COMPARISON_TEXT_MAX 96

/* At the end of stream: returns whether the stream was the greeting. If not, BUFFER
 * (COMPARISON_TEXT_MAX bytes) receives the position of the first difference, counted from byte 1 as
 * in cmp(1). */
bool comparison_explain(const struct comparison *comparison, char *buffer);

/* The PROXY headers of --proxy. */
struct exchange_proxy {
    enum proxy_version version;
    struct peer source;  /* AF_UNSPEC: the connection is the sender's own */
    unsigned n_variable; /* bits at the end of an IP address, in which connections differ */
};

/* Writes the header of connection NUMBER to TO to BUFFER (PROXY_FORMAT_MAX bytes) and returns its
 * size, which is 0 without --proxy. The number is added to the variable bits of the source; in
 * IPv6, if some of the first 64 bits are variable, to these, so that each connection has the next
 * /64. */
size_t exchange_format_header(const struct exchange_proxy *proxy, uint64_t number,
                              const struct address *to, char *buffer);

/* What each connection sends first, and where it goes. */
struct exchange_request {
    struct address to;
    struct exchange_proxy proxy;
    size_t size; /* of the zeros that follow the header */
};

/* A connection that sends a request, then receives a greeting. */
struct exchange {
    int fd;           /* from exchange_connect(), owned by the caller */
    uint64_t number;  /* of its header */
    bool header_sent; /* or there is none */
    size_t sent;      /* of the header, then of the zeros */
    uint64_t received;
    struct comparison comparison;
    struct peer own; /* of exchange_note_own(), else AF_UNSPEC */
};

/* Notes the own address of a connection that exchange_connect() has started. */
void exchange_note_own(struct exchange *exchange);

/* Whether a connection sends anything. */
bool exchange_sends(const struct exchange_request *request);

/* Whether the header has a source, which is not the own address. */
bool exchange_has_source(const struct exchange_request *request);

/* Returns what the server should take for the client's address: the source in the header, or the
 * own address. */
struct peer exchange_client(const struct exchange *exchange,
                            const struct exchange_request *request);

/* The size of the buffer of exchange_step(). */
#define EXCHANGE_BUFFER_SIZE ((size_t)64 * 1024)

/* Instead of an outcome: the socket must become readable, or writable if bytes remain to send. */
#define EXCHANGE_PENDING OUTCOMES

/* Sends the rest of REQUEST, then receives into BUFFER, until a call would block. Returns
 * EXCHANGE_PENDING, or the outcome. After an outcome the caller closes the socket, at once or
 * later. */
enum outcome exchange_step(struct exchange *exchange, const struct exchange_request *request,
                           char *buffer);
