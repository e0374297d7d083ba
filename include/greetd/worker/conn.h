/* SPDX-License-Identifier: MIT */
#pragma once

/* The life of one client, from accept(2) to close(2):
 *
 *     [expecting ──▶] writing ──▶ greeted ──▶ acknowledged ──▶ closed
 *
 * With GreetOn=data a client is expected to send something first, within DataTimeoutSec=; like all
 * input it is thrown away. If the client closes instead it is not greeted. While writing, the
 * greeting is given to the kernel; with its last byte goes the end of stream (shutdown(2)). A
 * greeted client has WriteTimeoutSec= to acknowledge a part of the greeting, again and again. A
 * client that has acknowledged everything is expected to close; each time it sends something it has
 * LingerSec= more, up to CONN_LINGER_MAX_USEC. Its socket is closed only then: closing on unread
 * input would make the kernel send a reset, and a reset may overtake the greeting; see RFC
 * 1122, 4.2.2.13.
 *
 * A step does what can be done without waiting and returns what to wait for. It knows nothing of
 * epoll, queues and timers, which are the business of clients. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "greetd/base/clock.h"
#include "greetd/base/timeout_queue.h"
#include "greetd/greeting/greeting.h"
#include "greetd/greeting/render.h"
#include "greetd/journal/logger.h"
#include "greetd/metrics/metrics.h"

/* After a greeting most clients close at once. They are looked at again after this before epoll is
 * told of them: long enough that, of many clients who keep the machine busy, most have closed. */
#define CONN_SOON_USEC 20000

/* Input that is thrown away at one step, so that a flood can't keep the worker from others. */
#define CONN_DISCARD_STEP_MAX ((uint32_t)64 * 1024)

/* A client that goes on sending after it has acknowledged its greeting is closed after this, or
 * after LingerSec= if that is longer (lingering_time of nginx). */
#define CONN_LINGER_MAX_USEC ((uint64_t)30 * 1000000)

/* What to do next with a client; the one switch over it, in clients, owns every consequence. */
enum conn_next {
    CONN_WAIT_DATA,  /* wait until it sends something, at most DataTimeoutSec= */
    CONN_WAIT_WRITE, /* wait until it takes more (or sends something), at most WriteTimeoutSec= */
    CONN_WAIT_SOON,  /* look again after CONN_SOON_USEC */
    CONN_WAIT_ACKNOWLEDGEMENT, /* wait until it has all, at most WriteTimeoutSec= */
    CONN_WAIT_CLOSE,           /* wait until it sends something or closes, at most LingerSec= */
    CONN_CLOSE,                /* it is over */
};

enum conn_state {
    CONN_FREE, /* a place in the table without a client */
    CONN_EXPECTING,
    CONN_WRITING,
    CONN_GREETED,
};

/* What all clients of one listening socket have in common; immutable. */
struct conn_settings {
    const struct greeting *greeting; /* borrowed */
    struct render *render; /* borrowed: the calling thread's, for greetings with variables */
    const char *listener;  /* borrowed: its name */
    uint64_t linger_usec;
    uint64_t write_timeout_usec;
    uint64_t data_timeout_usec;
    bool greet_on_data; /* GreetOn=data */
    bool records;       /* SOCK_SEQPACKET */
    bool fast_open;     /* FastOpen=yes: a client may be here before its handshake is over */
};

/* The rest of a greeting that was made up for one client, who could not take all of it at once. */
struct conn_unsent {
    uint64_t number;     /* that of the client, which has no room for it meanwhile */
    uint32_t begin, end; /* which bytes of the greeting these are */
    char bytes[];
};

/* One client, in a table that is allocated once. */
struct conn {
    struct timeout_entry entry; /* of clients: the queue it waits in */
    const struct conn_settings *settings;
    union {
        uint64_t number;            /* GREETD_CONNECTION=, unless has_unsent */
        struct conn_unsent *unsent; /* owned, if has_unsent */
    };
    uint64_t accepted_usec;    /* CLOCK_MONOTONIC */
    uint32_t spoke_msec;       /* since accepted_usec: when it first spoke, if it was expected to */
    uint32_t progress_msec;    /* since accepted_usec: when it last took a part of the greeting, or
                                * had acknowledged everything */
    uint32_t sent;             /* bytes of the greeting given to the kernel */
    uint32_t unacknowledged;   /* of those sent, at the last look for progress */
    int fd;                    /* owned */
    unsigned state : 2;        /* enum conn_state */
    unsigned outcome : 3;      /* enum result, as far as it is known before the end */
    unsigned input_ended : 1;  /* the client has sent its end of stream */
    unsigned more_input : 1;   /* the last step left some of its input unread */
    unsigned progressed : 1;   /* in what it is waited for; clients clears this when it starts a
                                  timeout anew */
    unsigned all_sent : 1;     /* the whole greeting was given to the kernel */
    unsigned acknowledged : 1; /* and the client has all of it */
    unsigned has_unsent : 1;   /* of a greeting that was made up for this client */
    unsigned queue : 3;        /* of clients: which queue it waits in */
    unsigned watched : 1;      /* of clients: epoll knows the socket */
    struct peer peer;
};

/* Accepting 20,000 clients that only sit there is to cost 2 MB. */
_Static_assert(sizeof(struct conn) <= 96, "a client takes at most 96 bytes");

/* The client that waits with ENTRY. */
static inline struct conn *conn_of_entry(struct timeout_entry *entry)
{
    return (struct conn *)((char *)entry - offsetof(struct conn, entry));
}

/* How many milliseconds before NOW the client was accepted. */
static inline uint32_t conn_msec(const struct conn *conn, uint64_t now_usec)
{
    return (uint32_t)((now_usec - conn->accepted_usec) / 1000);
}

/* When the client last made progress with its greeting, or had acknowledged all of it. */
static inline uint64_t conn_progress_usec(const struct conn *conn)
{
    return conn->accepted_usec + (uint64_t)conn->progress_msec * 1000;
}

/* When the present wait would be over if it had begun with that. */
static inline uint64_t conn_deadline_usec(const struct conn *conn)
{
    const struct conn_settings *settings = conn->settings;
    uint64_t timeout_usec = conn->state == CONN_EXPECTING ? settings->data_timeout_usec
                            : conn->acknowledged          ? settings->linger_usec
                                                          : settings->write_timeout_usec;

    return usec_add(conn_progress_usec(conn), timeout_usec);
}

static inline bool conn_is_local(const struct conn *conn)
{
    return conn->peer.family != AF_INET && conn->peer.family != AF_INET6;
}

/* Takes a client just accepted, whose FD is owned from here on, and greets it as far as possible.
 * NOW is CLOCK_MONOTONIC in microseconds, as below; COUNTERS are those of the calling thread. */
enum conn_next conn_begin(struct conn *conn, int fd, struct peer peer,
                          const struct conn_settings *settings, uint64_t number, uint64_t now_usec,
                          struct metrics_counters *counters);

/* Goes on with a client that could not be finished: writes, reads, or finds that it has closed. */
enum conn_next conn_step(struct conn *conn, uint64_t now_usec, struct metrics_counters *counters);

/* The same after CONN_WAIT_SOON, where poll(2) has told REVENTS of POLLIN: looking at many clients
 * with one system call is cheaper than to ask each whether it has closed. */
enum conn_next conn_poll(struct conn *conn, short revents, uint64_t now_usec,
                         struct metrics_counters *counters);

/* Called when the time of one of CONN_WAIT_DATA, _WRITE, _CLOSE or _ACKNOWLEDGEMENT is over:
 * whether to wait once more, because the client is slow but does read, or to give up. */
enum conn_next conn_expire(struct conn *conn, uint64_t now_usec);

/* How many bytes of what was sent the client has not acknowledged; a negative errno if the socket
 * can't tell (SIOCOUTQ in tcp(7) and unix(7)). */
int64_t conn_unacknowledged(const struct conn *conn);

/* The client could not be waited for: it is going to be closed. */
void conn_fail(struct conn *conn);

/* Closes the socket and tells the connection's story in *RET_RECORD, for the log and the metrics.
 */
void conn_close(struct conn *conn, uint64_t now_usec, struct logger_log_connection *ret_record);
