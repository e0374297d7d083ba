/* SPDX-License-Identifier: MIT */
#include "greetd/worker/conn.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "greetd/metrics/result.h"
#include "greetd/net/socket.h"

/* Kept out of the way of what every client of a plain message goes through. */
#define _noinline_ __attribute__((noinline))

/* A record of SOCK_SEQPACKET must fit into the socket's buffer as a whole (wmem_default in
 * socket(7)). */
#define CONN_RECORD_MAX ((size_t)64 * 1024)

static enum conn_next broken(struct conn *conn, int error)
{
    conn->outcome = result_of_errno(error);
    return CONN_CLOSE;
}

int64_t conn_unacknowledged(const struct conn *conn)
{
    if (conn->settings->fast_open && !conn_is_local(conn) && socket_is_in_handshake(conn->fd))
        return conn->sent;
    return socket_unacknowledged(conn->fd, conn->peer.family, conn->state == CONN_GREETED);
}

/* The whole greeting is with the kernel: sends the end of stream, which rides on the last data
 * segment. */
static enum conn_next finish(struct conn *conn, struct metrics_counters *counters)
{
    conn->outcome = RESULT_UNCONFIRMED;
    conn->all_sent = true;
    /* Without LingerSec= too: close(2) on unread input would drop what was held back, and one
     * segment more costs more than one system call more. */
    if (shutdown(conn->fd, SHUT_WR) < 0)
        return broken(conn, errno);
    metrics_add(&counters->greeted, 1);
    conn->state = CONN_GREETED;
    conn->unacknowledged = UINT32_MAX;

    /* After the client's end of stream nothing can come that a reset would answer, but the client
     * has everything only when its acknowledgement has come. */
    return conn->settings->linger_usec == 0 || (conn->input_ended && conn_unacknowledged(conn) == 0)
               ? CONN_CLOSE
               : CONN_WAIT_SOON;
}

/* Waits for room, and remembers how far the client is, to see later whether it has read anything at
 * all. */
static enum conn_next await_write(struct conn *conn)
{
    int64_t outstanding = conn_unacknowledged(conn);

    if (conn->progressed)
        conn->unacknowledged = outstanding > 0 ? (uint32_t)outstanding : 0;
    return CONN_WAIT_WRITE;
}

/* The kernel has no memory, and epoll does not report when it has some again. */
static enum conn_next await_memory(struct conn *conn, uint64_t now_usec)
{
    if (now_usec < conn_deadline_usec(conn))
        return CONN_WAIT_SOON;
    conn->outcome = RESULT_TIMEOUT;
    return CONN_CLOSE;
}

/* Gives the kernel the next part of what there is of the greeting: BYTES are those from BEGIN to
 * END. Returns its size or a negative errno. */
static ssize_t send_part(struct conn *conn, const char *bytes, size_t begin, size_t end)
{
    size_t left = end - conn->sent;
    size_t size = conn->settings->records && left > CONN_RECORD_MAX ? CONN_RECORD_MAX : left;
    ssize_t n;

    /* MSG_MORE holds the last segment back for the end of stream to go with it (TCP_CORK in
     * tcp(7)). */
    do
        n = send(conn->fd, bytes + (conn->sent - begin), size, MSG_MORE | MSG_NOSIGNAL);
    while (n < 0 && errno == EMSGSIZE && conn->settings->records && (size /= 2) > 0);
    return n < 0 ? -errno : n;
}

/* The arguments are as those of send_part(), and in registers: this is what every client costs. */
static inline enum conn_next write_bytes(struct conn *conn, const char *bytes, size_t begin,
                                         size_t end, uint64_t now_usec,
                                         struct metrics_counters *counters)
{
    while (conn->sent < end) {
        ssize_t n = send_part(conn, bytes, begin, end);

        if (n >= 0) {
            conn->sent += (uint32_t)n;
            conn->progressed = true;
            conn->progress_msec = conn_msec(conn, now_usec);
            metrics_add(&counters->bytes_sent, (uint64_t)n);
        } else if (n == -EAGAIN) {
            return await_write(conn);
        } else if (n == -ENOBUFS || n == -ENOMEM) {
            return await_memory(conn, now_usec);
        } else if (n != -EINTR) {
            return broken(conn, (int)-n);
        }
    }
    return finish(conn, counters);
}

/* Keeps what is left of the END bytes of a greeting until the client takes it. */
static bool keep_unsent(struct conn *conn, const char *bytes, size_t end)
{
    size_t size = end - conn->sent;
    struct conn_unsent *unsent = malloc(sizeof(*unsent) + size);

    if (!unsent)
        return false;
    unsent->number = conn->number;
    unsent->begin = conn->sent;
    unsent->end = (uint32_t)end;
    memcpy(unsent->bytes, bytes + conn->sent, size);
    conn->unsent = unsent;
    conn->has_unsent = true;
    return true;
}

static void free_unsent(struct conn *conn)
{
    struct conn_unsent *unsent = conn->unsent;

    if (!conn->has_unsent)
        return;
    conn->number = unsent->number;
    conn->has_unsent = false;
    free(unsent);
}

static _noinline_ enum conn_next write_unsent(struct conn *conn, uint64_t now_usec,
                                              struct metrics_counters *counters)
{
    const struct conn_unsent *unsent = conn->unsent;
    enum conn_next next =
        write_bytes(conn, unsent->bytes, unsent->begin, unsent->end, now_usec, counters);
    if (conn->all_sent)
        free_unsent(conn);
    return next;
}

/* Nearly every client takes a greeting that was made up for it at once, so that it need not be kept
 * for longer than this. */
static _noinline_ enum conn_next render_and_write(struct conn *conn, uint64_t now_usec,
                                                  struct metrics_counters *counters)
{
    const struct conn_settings *settings = conn->settings;
    const struct render *render = settings->render;
    int r = render_greeting(settings->render, settings->greeting, &conn->peer, conn->number);

    if (r < 0)
        return broken(conn, -r);
    enum conn_next next = write_bytes(conn, render->bytes, 0, render->size, now_usec, counters);
    if (next == CONN_CLOSE || conn->all_sent || keep_unsent(conn, render->bytes, render->size))
        return next;
    return broken(conn, ENOMEM);
}

static enum conn_next write_greeting(struct conn *conn, uint64_t now_usec,
                                     struct metrics_counters *counters)
{
    const struct greeting *greeting = conn->settings->greeting;

    if (!greeting->pieces)
        return write_bytes(conn, greeting->bytes, 0, greeting->size, now_usec, counters);
    return conn->has_unsent ? write_unsent(conn, now_usec, counters)
                            : render_and_write(conn, now_usec, counters);
}

/* Throws away what the client has sent, which is no progress of its greeting: a client that only
 * sends would hold its place for ever. Returns false, with errno set, if the connection is broken.
 */
static bool take_input(struct conn *conn)
{
    uint32_t n = 0;

    if (conn->input_ended)
        return true;
    enum socket_discarded socket_discarded =
        socket_discard(conn->fd, conn->settings->records, CONN_DISCARD_STEP_MAX, &n);
    conn->more_input = socket_discarded == SOCKET_DISCARDED_SOME;
    conn->input_ended = socket_discarded == SOCKET_DISCARDED_LAST;
    if (n > 0 && (conn->state == CONN_EXPECTING || conn->acknowledged))
        conn->progressed = true;
    return socket_discarded != SOCKET_DISCARD_FAILED;
}

/* Whether fewer bytes are OUTSTANDING than at the last look. */
static bool has_acknowledged_more(struct conn *conn, int64_t outstanding)
{
    if (outstanding < 0 || outstanding >= conn->unacknowledged)
        return false;
    conn->unacknowledged = (uint32_t)outstanding;
    conn->progressed = true;
    return true;
}

static enum conn_next linger(struct conn *conn, uint64_t now_usec)
{
    uint64_t linger_usec = conn->settings->linger_usec;
    uint64_t most_usec = linger_usec > CONN_LINGER_MAX_USEC ? linger_usec : CONN_LINGER_MAX_USEC;

    if (!conn->acknowledged)
        conn->progress_msec = conn_msec(conn, now_usec);
    conn->acknowledged = true;
    return conn->input_ended || now_usec >= usec_add(conn_progress_usec(conn), most_usec)
               ? CONN_CLOSE
               : CONN_WAIT_CLOSE;
}

/* Goes on with a client that has been greeted and of which there is no input. */
static enum conn_next await_acknowledgement_or_close(struct conn *conn, uint64_t now_usec)
{
    int64_t outstanding = conn->acknowledged ? 0 : conn_unacknowledged(conn);

    if (outstanding <= 0)
        return linger(conn, now_usec);
    /* After the end of stream recv(2) does not report a reset, nor does epoll a second time. */
    int error = conn->input_ended ? socket_error(conn->fd) : 0;
    if (error > 0)
        return broken(conn, error);
    (void)has_acknowledged_more(conn, outstanding);
    return CONN_WAIT_ACKNOWLEDGEMENT;
}

/* A client that sends a lot before it reads is stuck in its own write while we are in ours: its
 * input has to be taken for the greeting to go on. */
static enum conn_next continue_writing(struct conn *conn, uint64_t now_usec,
                                       struct metrics_counters *counters)
{
    if (!take_input(conn))
        return broken(conn, errno);
    return write_greeting(conn, now_usec, counters);
}

/* What it has said may be there already when the client is accepted. */
static enum conn_next await_data(struct conn *conn, uint64_t now_usec,
                                 struct metrics_counters *counters)
{
    if (!take_input(conn))
        return broken(conn, errno);
    if (!conn->progressed)
        return conn->input_ended ? CONN_CLOSE : CONN_WAIT_DATA;
    conn->state = CONN_WRITING;
    conn->spoke_msec = conn->progress_msec = conn_msec(conn, now_usec);
    return write_greeting(conn, now_usec, counters);
}

/* Does what can be done at once for a client that is new, or may have spoken, and counts how long
 * that took if it is greeted. Its own silence before is not our time. */
static enum conn_next begin_greeting(struct conn *conn, uint64_t now_usec,
                                     struct metrics_counters *counters)
{
    /* NOW_USEC is the same for all that is done in one round of the worker's loop. */
    uint64_t began_usec = clock_now();
    enum conn_next next = conn->state == CONN_EXPECTING ? await_data(conn, now_usec, counters)
                                                        : write_greeting(conn, now_usec, counters);

    if (conn->state == CONN_GREETED)
        metrics_add_time(counters, clock_now() - began_usec);
    return next;
}

/* Goes on with a client that could not be greeted at once, and counts how long that took once it
 * is. */
static enum conn_next continue_greeting(struct conn *conn, uint64_t now_usec,
                                        struct metrics_counters *counters)
{
    if (conn->state == CONN_EXPECTING)
        return begin_greeting(conn, now_usec, counters);

    enum conn_next next = continue_writing(conn, now_usec, counters);
    if (conn->state == CONN_GREETED)
        metrics_add_time(counters,
                         now_usec - conn->accepted_usec - (uint64_t)conn->spoke_msec * 1000);
    return next;
}

enum conn_next conn_begin(struct conn *conn, int fd, struct peer peer,
                          const struct conn_settings *settings, uint64_t number, uint64_t now_usec,
                          struct metrics_counters *counters)
{
    *conn = (struct conn){
        .settings = settings,
        .number = number,
        .accepted_usec = now_usec,
        .fd = fd,
        .state = settings->greet_on_data ? CONN_EXPECTING : CONN_WRITING,
        .outcome = RESULT_PARTIAL,
        .peer = peer,
    };
    return begin_greeting(conn, now_usec, counters);
}

enum conn_next conn_step(struct conn *conn, uint64_t now_usec, struct metrics_counters *counters)
{
    assert(conn->state != CONN_FREE);
    if (conn->state != CONN_GREETED)
        return continue_greeting(conn, now_usec, counters);
    return take_input(conn) ? await_acknowledgement_or_close(conn, now_usec) : broken(conn, errno);
}

enum conn_next conn_poll(struct conn *conn, short revents, uint64_t now_usec,
                         struct metrics_counters *counters)
{
    if (conn->state != CONN_GREETED)
        return conn_step(conn, now_usec, counters);
    if (revents == 0)
        return await_acknowledgement_or_close(conn, now_usec);
    /* Both ends of stream are there and ours is acknowledged, so that the connection is over:
     * whatever is left unread, close(2) sends no reset any more (RFC 9293, 3.10.4). */
    if ((revents & (POLLHUP | POLLERR)) == POLLHUP &&
        socket_unacknowledged(conn->fd, conn->peer.family, false) == 0) {
        conn->input_ended = true;
        conn->outcome = RESULT_DELIVERED;
        return CONN_CLOSE;
    }
    return conn_step(conn, now_usec, counters);
}

/* A greeted client that has read a part of its greeting is looked for here and not by epoll, which
 * reports only that all of it is acknowledged, or that a good part of the kernel's buffer is free.
 */
enum conn_next conn_expire(struct conn *conn, uint64_t now_usec)
{
    if (conn->acknowledged)
        return CONN_CLOSE;
    if (conn->state == CONN_GREETED) {
        enum conn_next next = await_acknowledgement_or_close(conn, now_usec);

        return next == CONN_WAIT_ACKNOWLEDGEMENT && !conn->progressed ? CONN_CLOSE : next;
    }
    if (conn->state == CONN_WRITING && has_acknowledged_more(conn, conn_unacknowledged(conn)))
        return CONN_WAIT_WRITE;
    conn->outcome = RESULT_TIMEOUT;
    return CONN_CLOSE;
}

void conn_fail(struct conn *conn)
{
    conn->outcome = RESULT_ERROR;
}

/* How much of what was sent the client's end has acknowledged. Of a local socket only nothing or
 * everything is known: it counts the kernel's memory, not bytes, and none once it is gone. */
static uint32_t acknowledged(const struct conn *conn)
{
    int64_t outstanding = conn_unacknowledged(conn);

    if (conn_is_local(conn) && (outstanding != 0 || conn->outcome == RESULT_RESET))
        return 0;
    if (outstanding < 0 || outstanding > conn->sent)
        return 0;
    return conn->sent - (uint32_t)outstanding;
}

static void fill_record(const struct conn *conn, uint64_t now_usec,
                        struct logger_log_connection *ret_record)
{
    *ret_record = (struct logger_log_connection){
        .listener = conn->settings->listener,
        .peer = conn->peer,
        .number = conn->number,
        .ended_usec = now_usec,
        .duration_usec = now_usec - conn->accepted_usec,
        .bytes = conn->sent,
        .bytes_acked = conn->outcome == RESULT_DELIVERED ? conn->sent : acknowledged(conn),
        .result = (enum result)conn->outcome,
    };
    /* What the client's end has acknowledged it has, however it went on after that. */
    if (conn->all_sent && ret_record->bytes_acked == conn->sent)
        ret_record->result = RESULT_DELIVERED;
}

void conn_close(struct conn *conn, uint64_t now_usec, struct logger_log_connection *ret_record)
{
    /* A client that is dropped before it closes may have unread input; closing then would send a
     * reset. */
    if (conn->state == CONN_GREETED && conn->settings->linger_usec > 0 && !take_input(conn))
        (void)broken(conn, errno);
    free_unsent(conn);
    fill_record(conn, now_usec, ret_record);

    conn->fd = safe_close(conn->fd);
    conn->state = CONN_FREE;
}
