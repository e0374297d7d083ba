/* SPDX-License-Identifier: MIT */
#pragma once

/* What a worker knows of one client: shared by the modules that continue with it (conn, header,
 * drip and writing) and that hold it (clients and eviction). Only for the thread of the worker. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "greetd/base/clock.h"
#include "greetd/base/timeout_queue.h"
#include "greetd/guard/proxy_header.h"
#include "greetd/metrics/result.h"
#include "greetd/net/peer.h"
#include "greetd/net/socket.h"
#include "greetd/worker/generation.h"

/* Bytes that may be on their way to a client that is dropped: no more than the kernel of a client
 * that reads nothing takes at first. Many would stay in the kernel's memory for a client that does
 * not read, uncounted by MaxConnections=. */
#define CONN_LEFT_MAX 65536

/* What to do next with a client; apply() in clients.c has the one switch over it. */
enum conn_next {
    CONN_WAIT_DATA,  /* wait until it sends its header or data, at most DataTimeoutSec= */
    CONN_WAIT_WRITE, /* wait until it takes more or sends data, at most WriteTimeoutSec= */
    CONN_WAIT_DRIP,  /* wait for DripSec= */
    CONN_WAIT_SOON,  /* poll it after CONN_SOON_USEC */
    CONN_WAIT_ACKNOWLEDGEMENT, /* wait until it has everything, at most WriteTimeoutSec= */
    CONN_WAIT_CLOSE,           /* wait until it sends data or closes, at most LingerSec= */
    CONN_CLOSE,                /* close it */
};

enum conn_state {
    CONN_FREE,      /* a place in the table without a client */
    CONN_HEADER,    /* its PROXY header is expected */
    CONN_EXPECTING, /* its first data are expected */
    CONN_WRITING,
    CONN_GREETED, /* acknowledging or, if acknowledged, lingering */
};

/* The unsent part of a greeting that was rendered for one client; all of it if the client
 * conn_drips(). */
struct conn_unsent {
    uint64_t number;     /* that of the client, whose union holds the pointer to this struct */
    uint32_t begin, end; /* the bytes of the greeting that are here */
    char bytes[];
};

/* The beginning of a PROXY header, if it did not arrive as a whole. */
struct conn_header {
    uint64_t number; /* that of the client, whose union holds the pointer to this struct */
    size_t size;
    char bytes[];
};

/* One client, in a table that is allocated once. */
struct conn {
    struct timeout_entry entry;       /* written by clients: the queue it waits in */
    struct worker_greeting *greeting; /* that it receives; one of its listener */
    union {
        uint64_t number;            /* GREETD_CONNECTION=, unless has_unsent or has_header */
        struct conn_unsent *unsent; /* owned, if has_unsent */
        struct conn_header *header; /* owned, if has_header */
    };
    uint64_t accepted_usec;
    union {
        struct {
            uint32_t progress_msec;  /* since accepted_usec: the last write */
            uint32_t unacknowledged; /* bytes of the greeting, when progress was last checked */
        };
        uint64_t acknowledged_usec; /* when the client had everything, if acknowledged */
    };
    uint32_t data_msec;       /* since accepted_usec: its PROXY header, its first data */
    uint32_t sent;            /* bytes of the greeting given to the kernel */
    int fd;                   /* owned */
    unsigned state : 3;       /* enum conn_state */
    unsigned outcome : 3;     /* enum result, as far as it is known before the end */
    unsigned refusal : 3;     /* enum refusal */
    unsigned proxy_error : 4; /* enum proxy_error, of REFUSAL_PROXY */
    unsigned local : 1;       /* the socket is not one of TCP */
    unsigned proxied : 1;     /* PEER is the source in its PROXY header */
    unsigned counted : 1;     /* in the table of sources, for PEER */
    unsigned has_header : 1;
    unsigned input_ended : 1;  /* the client has sent its end of stream */
    unsigned more_input : 1;   /* the last step left input unread */
    unsigned progressed : 1;   /* since clients.c last started the timeout, which clears it */
    unsigned all_sent : 1;     /* the kernel has the whole greeting */
    unsigned acknowledged : 1; /* and so has the client */
    unsigned has_unsent : 1;
    unsigned had_input : 1; /* the client has sent something other than its end of stream */
    unsigned queue : 3;     /* written by clients: which queue it waits in */
    unsigned watched : 1;   /* written by clients: the socket is in epoll */
    struct peer peer;
};

_Static_assert(REFUSAL_N <= 8 && PROXY_ERROR_N <= 16, "the bit fields are wide enough");

/* 20,000 clients that only stay connected must fit into 2 MB. */
_Static_assert(sizeof(struct conn) <= 96, "a client takes at most 96 bytes");

/* The client whose entry is ENTRY. */
static inline struct conn *conn_of_entry(struct timeout_entry *entry)
{
    return (struct conn *)((char *)entry - offsetof(struct conn, entry));
}

/* The listener that the client was accepted from. */
static inline struct worker_listener *conn_listener(const struct conn *conn)
{
    return conn->greeting->listener;
}

static inline const struct greeting_settings *conn_settings(const struct conn *conn)
{
    return &conn_listener(conn)->config->settings;
}

/* The queue that the client waits in until it has taken and acknowledged everything. */
static inline struct timeout_queue *conn_taking_queue(const struct conn *conn)
{
    struct worker_listener *wl = conn_listener(conn);

    if (conn->refusal != REFUSAL_NONE)
        return &wl->refused;
    return conn->state == CONN_GREETED ? &wl->acknowledging : &wl->writing;
}

/* Whether the client receives its greeting line by line. */
static inline bool conn_drips(const struct conn *conn)
{
    return conn_settings(conn)->drip_usec > 0 && conn->refusal == REFUSAL_NONE;
}

/* Whether the client must send something before it is greeted. */
static inline bool conn_is_expected_to_send(const struct conn *conn)
{
    return conn->state == CONN_HEADER || conn->state == CONN_EXPECTING;
}

/* The milliseconds from accept(2) to NOW. They begin again at 0 every 49 days. */
static inline uint32_t conn_msec(const struct conn *conn, uint64_t now_usec)
{
    return (uint32_t)((now_usec - conn->accepted_usec) / 1000);
}

/* The time since the client last took a part of its greeting, which is right if that was less than
 * 49 days ago; or since it had acknowledged all of it. */
static inline uint64_t conn_since_progress_usec(const struct conn *conn, uint64_t now_usec)
{
    if (conn->acknowledged)
        return now_usec - conn->acknowledged_usec;
    return (uint64_t)(conn_msec(conn, now_usec) - conn->progress_msec) * 1000;
}

/* The time since the client has sent its PROXY header and first data, or was accepted if it need
 * not: right for a greeting that took less than 49 days, however long these were awaited. */
static inline uint64_t conn_since_data_usec(const struct conn *conn, uint64_t now_usec)
{
    const uint64_t period_usec =
        (UINT64_C(1) << 32) * 1000; /* after which data_msec begins again */

    return (now_usec - conn->accepted_usec - (uint64_t)conn->data_msec * 1000) % period_usec;
}

/* Whether the timeout of the present wait is over, counted from that progress. */
static inline bool conn_is_overdue(const struct conn *conn, uint64_t now_usec)
{
    const struct greeting_settings *settings = conn_settings(conn);
    uint64_t timeout_usec = conn_is_expected_to_send(conn) ? settings->data_timeout_usec
                            : conn->acknowledged           ? settings->linger_usec
                                                           : settings->write_timeout_usec;

    return conn_since_progress_usec(conn, now_usec) >= timeout_usec;
}

/* Ends a client whose connection is broken by ERROR (positive errno). */
static inline enum conn_next conn_break(struct conn *conn, int error)
{
    conn->outcome = result_of_errno(error);
    return CONN_CLOSE;
}

/* Whether the client closed or reset the connection before either side had sent a byte, but for a
 * PROXY header; to be called after conn_close(). With GreetOn=connect only a reset can precede the
 * greeting. */
static inline bool conn_was_silent(const struct conn *conn)
{
    const struct greeting_settings *settings = conn_settings(conn);
    bool must_send = settings->greet_on == GREET_ON_DATA || settings->proxy_protocol;
    bool by_client = conn->outcome == RESULT_RESET || (must_send && conn->input_ended);

    return by_client && conn->refusal == REFUSAL_NONE && conn->sent == 0 && !conn->all_sent &&
           !conn->had_input;
}

/* Whether the client was accepted with the data in its SYN, and its handshake is not over. */
static inline bool conn_is_in_handshake(const struct conn *conn)
{
    return conn_listener(conn)->fast_open && !conn->local && socket_is_in_handshake(conn->fd);
}

/* Returns how many of the sent bytes the client has not acknowledged, or a negative errno if the
 * socket can't tell (SIOCOUTQ in tcp(7) and unix(7)). */
static inline int64_t conn_unacknowledged(const struct conn *conn)
{
    if (conn_is_in_handshake(conn))
        return conn->sent;
    return socket_unacknowledged(conn->fd, conn->state == CONN_GREETED && !conn->local);
}
