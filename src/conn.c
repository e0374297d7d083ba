/* SPDX-License-Identifier: MIT */
#include "greetd/conn.h"

#include <assert.h>
#include <errno.h>
#include <sys/socket.h>

#include "greetd/sockutil.h"

static enum conn_next broken(struct conn *conn, int error)
{
    conn->outcome =
        error == EPIPE || error == ECONNRESET || error == ENOTCONN ? CONNLOG_RESET : CONNLOG_ERROR;
    return CONN_CLOSE;
}

/* How many bytes of the greeting the client has not acknowledged; none if the socket can't tell any
 * more. */
static int64_t unacknowledged(const struct conn *conn)
{
    return sockutil_unacknowledged(conn->fd, conn->peer.family, conn->state == CONN_GREETED);
}

/* The whole greeting is with the kernel: sends the end of stream, which rides on the last data
 * segment. */
static enum conn_next finish(struct conn *conn, uint64_t now_usec,
                             struct metrics_counters *counters)
{
    metrics_add(&counters->greeted, 1);
    conn->outcome = CONNLOG_UNCONFIRMED;
    conn->greeted_msec = (uint32_t)((now_usec - conn->accepted_usec) / 1000);
    /* After the client's end of stream nothing can come that a reset would answer. */
    if (conn->terms->linger_usec == 0 || conn->input_ended)
        return CONN_CLOSE;

    if (shutdown(conn->fd, SHUT_WR) < 0)
        return broken(conn, errno);
    conn->state = CONN_GREETED;
    return CONN_WAIT_SOON;
}

/* Waits for room, and remembers how far the client is, to see later whether it has read anything at
 * all. */
static enum conn_next await_write(struct conn *conn)
{
    int64_t outstanding = unacknowledged(conn);

    if (conn->progressed)
        conn->unacknowledged = outstanding > 0 ? (uint32_t)outstanding : 0;
    return CONN_WAIT_WRITE;
}

static enum conn_next write_greeting(struct conn *conn, uint64_t now_usec,
                                     struct metrics_counters *counters)
{
    const struct greeting *greeting = conn->terms->greeting;

    while (conn->sent < greeting->size) {
        size_t left = greeting->size - conn->sent;
        size_t size = left < conn->terms->send_max ? left : conn->terms->send_max;
        /* MSG_MORE holds the last segment back for the end of stream to go with it (tcp(7),
         * TCP_CORK). */
        ssize_t n = send(conn->fd, greeting->bytes + conn->sent, size, MSG_MORE | MSG_NOSIGNAL);

        if (n >= 0) {
            conn->sent += (uint32_t)n;
            conn->progressed = true;
            metrics_add(&counters->bytes_sent, (uint64_t)n);
        } else if (errno == EAGAIN) {
            return await_write(conn);
        } else if (errno == ENOBUFS || errno == ENOMEM) {
            return CONN_WAIT_SOON;
        } else if (errno != EINTR) {
            return broken(conn, errno);
        }
    }
    return finish(conn, now_usec, counters);
}

enum discarded {
    DISCARDED_ALL,  /* nothing more is there by now */
    DISCARDED_SOME, /* there may be more, but others have their turn first */
    DISCARDED_LAST, /* the client has sent its end of stream */
    DISCARDED_FAILED,
};

/* Reads what the client has sent and throws it away, so that its sending, which nobody asked for,
 * neither blocks it nor costs it the greeting. */
static enum discarded discard_input(struct conn *conn)
{
    char buffer[16 * 1024];
    uint32_t read = 0;

    while (read < CONN_DISCARD_STEP_MAX) {
        ssize_t n = recv(conn->fd, buffer, sizeof(buffer), 0);

        if (n == 0)
            return DISCARDED_LAST;
        if (n < 0 && errno == EAGAIN)
            return DISCARDED_ALL;
        if (n < 0 && errno != EINTR)
            return DISCARDED_FAILED;
        if (n > 0) {
            read += (uint32_t)n;
            conn->discarded += (uint32_t)n;
        }
    }
    return DISCARDED_SOME;
}

static bool linger_is_over(const struct conn *conn, uint64_t now_usec)
{
    uint64_t greeted_usec = conn->accepted_usec + (uint64_t)conn->greeted_msec * 1000;

    return now_usec >= deadline_after(greeted_usec, conn->terms->linger_usec);
}

/* A client that has sent more than anyone would has had its input thrown away for long enough. What
 * is left of it stays unread; once the greeting has been acknowledged, a reset can do no harm. */
static enum conn_next await_acknowledgement(const struct conn *conn, uint64_t now_usec)
{
    return unacknowledged(conn) <= 0 || linger_is_over(conn, now_usec) ? CONN_CLOSE
                                                                       : CONN_WAIT_SOON;
}

static enum conn_next await_close(struct conn *conn, uint64_t now_usec)
{
    if (conn->discarded >= CONN_DISCARD_MAX)
        return await_acknowledgement(conn, now_usec);

    switch (discard_input(conn)) {
    case DISCARDED_LAST:
        return CONN_CLOSE;
    case DISCARDED_FAILED:
        return broken(conn, errno);
    case DISCARDED_SOME:
        return linger_is_over(conn, now_usec) ? CONN_CLOSE : CONN_WAIT_SOON;
    case DISCARDED_ALL:
    default:
        return CONN_WAIT_CLOSE;
    }
}

/* A client that sends a lot before it reads is stuck in its own write while we are in ours: its
 * input has to be taken for the greeting to go on. */
static enum conn_next go_on_writing(struct conn *conn, uint64_t now_usec,
                                    struct metrics_counters *counters)
{
    enum discarded discarded = conn_reads(conn) ? discard_input(conn) : DISCARDED_ALL;

    if (discarded == DISCARDED_FAILED)
        return broken(conn, errno);
    if (discarded == DISCARDED_LAST)
        conn->input_ended = true;
    return write_greeting(conn, now_usec, counters);
}

enum conn_next conn_begin(struct conn *conn, int fd, struct peer peer,
                          const struct conn_terms *terms, uint64_t number, uint64_t now_usec,
                          struct metrics_counters *counters)
{
    *conn = (struct conn){
        .terms = terms,
        .number = number,
        .accepted_usec = now_usec,
        .fd = fd,
        .state = CONN_WRITING,
        .outcome = CONNLOG_PARTIAL,
        .peer = peer,
    };
    return write_greeting(conn, now_usec, counters);
}

enum conn_next conn_step(struct conn *conn, uint64_t now_usec, struct metrics_counters *counters)
{
    assert(conn->state != CONN_FREE);
    return conn->state == CONN_WRITING ? go_on_writing(conn, now_usec, counters)
                                       : await_close(conn, now_usec);
}

enum conn_next conn_expire(struct conn *conn)
{
    if (conn->state == CONN_WRITING) {
        /* The kernel's buffer takes more only when a good part of it is free; a client that reads
         * slowly may have made progress long before that. */
        int64_t outstanding = unacknowledged(conn);

        if (outstanding >= 0 && outstanding < conn->unacknowledged) {
            conn->unacknowledged = (uint32_t)outstanding;
            conn->progressed = true;
            return CONN_WAIT_WRITE;
        }
        conn->outcome = CONNLOG_TIMEOUT;
    }
    return CONN_CLOSE;
}

/* How much of what was sent the client's end has acknowledged. Of a local socket only nothing or
 * everything is known: it counts the kernel's memory, not bytes. */
static uint32_t acknowledged(const struct conn *conn)
{
    int64_t outstanding = unacknowledged(conn);

    if (outstanding == 0)
        return conn->sent;
    if (outstanding < 0 || outstanding > conn->sent ||
        (conn->peer.family != AF_INET && conn->peer.family != AF_INET6))
        return 0;
    return conn->sent - (uint32_t)outstanding;
}

void conn_close(struct conn *conn, uint64_t now_usec, struct connlog_connection *ret_story)
{
    *ret_story = (struct connlog_connection){
        .listener = conn->terms->listener,
        .peer = conn->peer,
        .number = conn->number,
        .duration_usec = now_usec - conn->accepted_usec,
        .bytes = conn->sent,
        .bytes_acked = acknowledged(conn),
        .result = conn->outcome,
    };
    /* What the client's end has acknowledged it has, however it went on after that. */
    if (ret_story->bytes_acked == conn->terms->greeting->size)
        ret_story->result = CONNLOG_DELIVERED;

    conn->fd = util_close(conn->fd);
    conn->state = CONN_FREE;
}
