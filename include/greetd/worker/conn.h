/* SPDX-License-Identifier: MIT */
#pragma once

/* The life of one client, from accept(2) to close(2):
 *
 *     [expecting ──▶] writing ──▶ acknowledging ──▶ lingering ──▶ closed
 *
 * With GreetOn=data the connection waits for the client's first data, at most DataTimeoutSec=; like
 * all input they are discarded. A client that closes instead is not greeted. While writing, the
 * kernel is given the greeting; the end of stream follows its last byte (shutdown(2)). While
 * acknowledging, the client has WriteTimeoutSec= for each further part. A client that has
 * acknowledged everything lingers until it closes; all that it sends gives it LingerSec= again, up
 * to CONN_LINGER_MAX_USEC. Only then is the socket closed: closing with unread input would make the
 * kernel send a reset, and a reset may overtake the greeting (RFC 1122, 4.2.2.13).
 *
 * A step does what is possible without waiting and returns what to wait for. Epoll, queues and
 * timeouts are in clients. Only for the thread of the worker; times are CLOCK_MONOTONIC in
 * microseconds. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "greetd/base/clock.h"
#include "greetd/base/timeout_queue.h"
#include "greetd/journal/record.h"
#include "greetd/worker/context.h"
#include "greetd/worker/generation.h"

/* Most clients close right after their greeting. They are polled after this time, before any is
 * added to epoll: long enough for most to have closed when many clients keep the machine busy. */
#define CONN_SOON_USEC 20000

/* Input that one step discards at most, so that a flood can't keep the worker from other clients.
 */
#define CONN_DISCARD_STEP_MAX ((uint32_t)64 * 1024)

/* A client that goes on sending after it has acknowledged its greeting is closed after this time,
 * or after LingerSec= if that is longer (lingering_time of nginx). */
#define CONN_LINGER_MAX_USEC ((uint64_t)30 * 1000000)

/* What to do next with a client; apply() in clients.c has the one switch over it. */
enum conn_next {
    CONN_WAIT_DATA,  /* wait until it sends data, at most DataTimeoutSec= */
    CONN_WAIT_WRITE, /* wait until it takes more or sends data, at most WriteTimeoutSec= */
    CONN_WAIT_SOON,  /* poll it after CONN_SOON_USEC */
    CONN_WAIT_ACKNOWLEDGEMENT, /* wait until it has everything, at most WriteTimeoutSec= */
    CONN_WAIT_CLOSE,           /* wait until it sends data or closes, at most LingerSec= */
    CONN_CLOSE,                /* close it */
};

enum conn_state {
    CONN_FREE, /* a place in the table without a client */
    CONN_EXPECTING,
    CONN_WRITING,
    CONN_GREETED, /* acknowledging or, if acknowledged, lingering */
};

/* The unsent part of a greeting that was rendered for one client. */
struct conn_unsent {
    uint64_t number;     /* that of the client, whose union holds the pointer to this struct */
    uint32_t begin, end; /* the bytes of the greeting that are here */
    char bytes[];
};

/* One client, in a table that is allocated once. */
struct conn {
    struct timeout_entry entry;       /* written by clients: the queue it waits in */
    struct worker_listener *listener; /* that it was accepted from */
    union {
        uint64_t number;            /* GREETD_CONNECTION=, unless has_unsent */
        struct conn_unsent *unsent; /* owned, if has_unsent */
    };
    uint64_t accepted_usec;
    uint32_t data_msec;       /* since accepted_usec: its first data, with GreetOn=data */
    uint32_t progress_msec;   /* since accepted_usec: the last write, or the last acknowledgement */
    uint32_t sent;            /* bytes of the greeting given to the kernel */
    uint32_t unacknowledged;  /* of those, when progress was last checked */
    int fd;                   /* owned */
    unsigned state : 2;       /* enum conn_state */
    unsigned outcome : 3;     /* enum result, as far as it is known before the end */
    unsigned input_ended : 1; /* the client has sent its end of stream */
    unsigned more_input : 1;  /* the last step left input unread */
    unsigned progressed : 1;  /* since clients.c last started the timeout, which clears it */
    unsigned all_sent : 1;    /* the kernel has the whole greeting */
    unsigned acknowledged : 1; /* and so has the client */
    unsigned has_unsent : 1;
    unsigned had_input : 1; /* the client has sent something other than its end of stream */
    unsigned queue : 3;     /* written by clients: which queue it waits in */
    unsigned watched : 1;   /* written by clients: the socket is in epoll */
    struct peer peer;
};

/* 20,000 clients that only stay connected must fit into 2 MB. */
_Static_assert(sizeof(struct conn) <= 96, "a client takes at most 96 bytes");

/* The client whose entry is ENTRY. */
static inline struct conn *conn_of_entry(struct timeout_entry *entry)
{
    return (struct conn *)((char *)entry - offsetof(struct conn, entry));
}

/* The milliseconds from accept(2) to NOW. */
static inline uint32_t conn_msec(const struct conn *conn, uint64_t now_usec)
{
    return (uint32_t)((now_usec - conn->accepted_usec) / 1000);
}

/* When the client last took a part of its greeting, or had acknowledged all of it. */
static inline uint64_t conn_progress_usec(const struct conn *conn)
{
    return conn->accepted_usec + (uint64_t)conn->progress_msec * 1000;
}

/* When the timeout of the present wait is over, counted from that progress. */
static inline uint64_t conn_deadline_usec(const struct conn *conn)
{
    const struct greeting_settings *settings = &conn->listener->config->settings;
    uint64_t timeout_usec = conn->state == CONN_EXPECTING ? settings->data_timeout_usec
                            : conn->acknowledged          ? settings->linger_usec
                                                          : settings->write_timeout_usec;

    return usec_add(conn_progress_usec(conn), timeout_usec);
}

static inline bool conn_is_local(const struct conn *conn)
{
    return conn->peer.family != AF_INET && conn->peer.family != AF_INET6;
}

/* Whether the client closed or reset the connection before either side had sent a byte; to be
 * called after conn_close(). With GreetOn=connect only a reset can precede the greeting. */
static inline bool conn_was_silent(const struct conn *conn)
{
    bool on_data = conn->listener->config->settings.greet_on == GREET_ON_DATA;
    bool by_client = conn->outcome == RESULT_RESET || (on_data && conn->input_ended);

    return by_client && conn->sent == 0 && !conn->all_sent && !conn->had_input;
}

/* Makes CONN the client PEER, just accepted from LISTENER as FD, which is owned from here on, and
 * greets it as far as possible. */
enum conn_next conn_begin(struct conn *conn, int fd, struct peer peer,
                          struct worker_listener *listener, uint64_t number, uint64_t now_usec,
                          struct worker_context *context);

/* Continues with a client after an event: writes, reads, or finds that it has closed. */
enum conn_next conn_step(struct conn *conn, uint64_t now_usec, struct worker_context *context);

/* Continues after CONN_WAIT_SOON with the REVENTS of a poll(2) for POLLIN: one poll for many
 * clients is cheaper than to ask each whether it has closed. */
enum conn_next conn_poll(struct conn *conn, short revents, uint64_t now_usec,
                         struct worker_context *context);

/* Continues after the timeout of CONN_WAIT_DATA, _WRITE, _CLOSE or _ACKNOWLEDGEMENT: returns
 * another wait if the client is slow but reads, else CONN_CLOSE. */
enum conn_next conn_expire(struct conn *conn, uint64_t now_usec);

/* Returns how many of the sent bytes the client has not acknowledged, or a negative errno if the
 * socket can't tell (SIOCOUTQ in tcp(7) and unix(7)). */
int64_t conn_unacknowledged(const struct conn *conn);

/* Sets the result for a client that is closed because it can't be waited for. */
void conn_fail(struct conn *conn);

/* Closes the socket and fills in *RET_RECORD for the log and the metrics. */
void conn_close(struct conn *conn, uint64_t now_usec, struct connection_record *ret_record);
