/* SPDX-License-Identifier: MIT */
#pragma once

/* The life of one client, from accept(2) to close(2):
 *
 *     [header ──▶] [expecting ──▶] writing ──▶ acknowledging ──▶ lingering ──▶ closed
 *                                  │   ▲
 *                                  ▼   │
 *                                 [waiting for its next line]
 *
 * With ProxyProtocol=yes the connection begins with a PROXY header, which has DataTimeoutSec= to
 * arrive, and the client is the source that the header names. A client that is refused is closed at
 * once; with RefuseMessage= it receives that in place of the greeting. With GreetOn=data the
 * connection waits for the client's first data, at most DataTimeoutSec=; like all input they are
 * discarded. A client that closes instead is not greeted. While writing, the kernel is given the
 * greeting; the end of stream follows its last byte (shutdown(2)). With DripSec= each line first
 * waits for this time, and the client is left alone meanwhile: its input is discarded, and its
 * reset noticed, when the line is due. Its end of stream may be a half-close, so the line is sent;
 * if the client is gone, its kernel answers with a reset, which the line after that finds.
 *
 * While acknowledging, the client has WriteTimeoutSec= for each further part. A client that has
 * acknowledged everything lingers until it closes; all that it sends gives it LingerSec= again, up
 * to CONN_LINGER_MAX_USEC. Only then is the socket closed: closing with unread input would make the
 * kernel send a reset, and a reset may overtake the greeting (RFC 1122, 4.2.2.13).
 *
 * A step does what is possible without waiting and returns what to wait for. Epoll, queues and
 * timeouts are in clients. Only for the thread of the worker; times are CLOCK_MONOTONIC in
 * microseconds. */

#include <stdint.h>

#include "greetd/guard/admission.h"
#include "greetd/journal/record.h"
#include "greetd/worker/conn_state.h"
#include "greetd/worker/context.h"
#include "greetd/worker/generation.h"

/* Most clients close right after their greeting. A worker that is awake polls them after the first
 * of these times, while the memory of their sockets is still in the cache; it does not wake up for
 * that. Clients that are still connected are polled again after the second, which is long enough
 * for most to have closed when many clients keep the machine busy. Only the others are added to
 * epoll. Both times begin with the greeting. */
#define CONN_SOON_USEC  3000
#define CONN_AGAIN_USEC 20000
#define CONN_POLLS      2

/* Input that one step discards at most, so that a flood can't keep the worker from other clients.
 */
#define CONN_DISCARD_STEP_MAX ((uint32_t)64 * 1024)

/* A client that goes on sending after it has acknowledged its greeting is closed after this time,
 * or after LingerSec= if that is longer (lingering_time of nginx). */
#define CONN_LINGER_MAX_USEC ((uint64_t)30 * 1000000)

/* A client that was just accepted. */
struct conn_accepted {
    struct worker_listener *listener; /* borrowed */
    int fd;                           /* owned */
    struct peer peer;
    struct admission admission; /* by conn_admit() */
};

/* Decides whether the client PEER of LISTENER is admitted; with ProxyProtocol=yes, whether it may
 * send a header. */
struct admission conn_admit(const struct worker_listener *listener, const struct peer *peer,
                            uint64_t now_usec, struct worker_context *context);

/* Makes CONN the client ACCEPTED, whose descriptor is taken over, and greets it as far as possible.
 * conn_account() is due after conn_close(). */
enum conn_next conn_begin(struct conn *conn, const struct conn_accepted *accepted, uint64_t number,
                          uint64_t now_usec, struct worker_context *context);

/* Continues with a client after an event or after CONN_WAIT_DRIP: writes, reads, or finds that it
 * has closed. */
enum conn_next conn_step(struct conn *conn, uint64_t now_usec, struct worker_context *context);

/* Continues after CONN_WAIT_SOON with the REVENTS of a poll(2) for POLLIN: one poll for many
 * clients is cheaper than to ask each whether it has closed. */
enum conn_next conn_poll(struct conn *conn, short revents, uint64_t now_usec,
                         struct worker_context *context);

/* Continues after the timeout of CONN_WAIT_DATA, _WRITE, _CLOSE or _ACKNOWLEDGEMENT: returns
 * another wait if the client is slow but reads, else CONN_CLOSE. */
enum conn_next conn_expire(struct conn *conn, uint64_t now_usec);

/* Sets the result for a client that is closed because it can't be waited for. */
static inline void conn_fail(struct conn *conn)
{
    conn->outcome = RESULT_ERROR;
}

/* Closes the socket and fills in *RET_RECORD for the log and the metrics. */
void conn_close(struct conn *conn, uint64_t now_usec, struct connection_record *ret_record);

/* Logs and counts the end of the client, and gives back what it has of its greeting and in the
 * table of sources. RECORD is that of conn_close(). */
void conn_account(const struct conn *conn, const struct connection_record *record,
                  struct worker_context *context);
