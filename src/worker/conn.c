/* SPDX-License-Identifier: MIT */
#include "greetd/worker/conn.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "greetd/greeting/render.h"
#include "greetd/net/socket.h"

/* Keeps rare code out of the path of a client of a plain message. */
#define _noinline_ __attribute__((noinline))

/* A record of SOCK_SEQPACKET must fit as a whole into the buffer (wmem_default in socket(7)). */
#define CONN_RECORD_MAX ((size_t)64 * 1024)

static const struct greeting_settings *settings_of(const struct conn *conn)
{
    return &conn->listener->config->settings;
}

static enum conn_next close_broken(struct conn *conn, int error)
{
    conn->outcome = result_of_errno(error);
    return CONN_CLOSE;
}

int64_t conn_unacknowledged(const struct conn *conn)
{
    if (conn->listener->fast_open && !conn_is_local(conn) && socket_is_in_handshake(conn->fd))
        return conn->sent;
    return socket_unacknowledged(conn->fd, conn->peer.family, conn->state == CONN_GREETED);
}

/* Sends the end of stream, which rides on the last data segment: the kernel has the whole
 * greeting. */
static enum conn_next send_end_of_stream(struct conn *conn, struct worker_context *context)
{
    conn->outcome = RESULT_UNCONFIRMED;
    conn->all_sent = true;
    /* Also with LingerSec=0: close(2) on unread input would drop the segment that MSG_MORE holds
     * back, and a further segment costs more than this system call. */
    if (shutdown(conn->fd, SHUT_WR) < 0)
        return close_broken(conn, errno);
    metrics_add(&context->counters->greeted, 1);
    conn->state = CONN_GREETED;
    conn->unacknowledged = UINT32_MAX;

    /* After the client's end of stream no data can arrive that a reset would answer. But until its
     * acknowledgement the client may lack a part. */
    return settings_of(conn)->linger_usec == 0 ||
                   (conn->input_ended && conn_unacknowledged(conn) == 0)
               ? CONN_CLOSE
               : CONN_WAIT_SOON;
}

/* Waits for room in the socket's buffer. The bytes outstanding now show at the timeout whether the
 * client has read any. */
static enum conn_next await_write(struct conn *conn)
{
    int64_t outstanding = conn_unacknowledged(conn);

    if (conn->progressed)
        conn->unacknowledged = outstanding > 0 ? (uint32_t)outstanding : 0;
    return CONN_WAIT_WRITE;
}

/* Epoll does not report when the kernel has memory again. */
static enum conn_next await_memory(struct conn *conn, uint64_t now_usec)
{
    if (now_usec < conn_deadline_usec(conn))
        return CONN_WAIT_SOON;
    conn->outcome = RESULT_TIMEOUT;
    return CONN_CLOSE;
}

/* Gives the kernel the next part of BYTES, which are those of the greeting from BEGIN to END.
 * Returns its size or a negative errno. */
static ssize_t send_part(struct conn *conn, const char *bytes, size_t begin, size_t end)
{
    bool has_records = conn->listener->listener->type == SOCK_SEQPACKET;
    size_t left = end - conn->sent;
    size_t size = has_records && left > CONN_RECORD_MAX ? CONN_RECORD_MAX : left;
    ssize_t n;

    /* MSG_MORE holds the last segment back, so that it carries the end of stream (TCP_CORK in
     * tcp(7)). */
    do
        n = send(conn->fd, bytes + (conn->sent - begin), size, MSG_MORE | MSG_NOSIGNAL);
    while (n < 0 && errno == EMSGSIZE && has_records && (size /= 2) > 0);
    return n < 0 ? -errno : n;
}

/* The arguments are those of send_part(), and stay in registers: every client pays for this. */
static inline enum conn_next write_bytes(struct conn *conn, const char *bytes, size_t begin,
                                         size_t end, uint64_t now_usec,
                                         struct worker_context *context)
{
    while (conn->sent < end) {
        ssize_t n = send_part(conn, bytes, begin, end);

        if (n >= 0) {
            conn->sent += (uint32_t)n;
            conn->progressed = true;
            conn->progress_msec = conn_msec(conn, now_usec);
            metrics_add(&context->counters->bytes_sent, (uint64_t)n);
        } else if (n == -EAGAIN) {
            return await_write(conn);
        } else if (n == -ENOBUFS || n == -ENOMEM) {
            return await_memory(conn, now_usec);
        } else if (n != -EINTR) {
            return close_broken(conn, (int)-n);
        }
    }
    return send_end_of_stream(conn, context);
}

/* Keeps the unsent ones of the END bytes of a greeting until the client takes them. */
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
                                              struct worker_context *context)
{
    const struct conn_unsent *unsent = conn->unsent;
    enum conn_next next =
        write_bytes(conn, unsent->bytes, unsent->begin, unsent->end, now_usec, context);
    if (conn->all_sent)
        free_unsent(conn);
    return next;
}

/* The buffer of the worker is enough: nearly every client takes its greeting at once. */
static _noinline_ enum conn_next render_and_write(struct conn *conn, uint64_t now_usec,
                                                  struct worker_context *context)
{
    const struct buffer *rendered = &context->rendered;
    const struct variable_client client = {
        .peer = &conn->peer, .number = conn->number, .metrics = context->shared->metrics};
    int r = render_greeting(&context->rendered, conn->listener->config->greeting, &client);

    if (r < 0)
        return close_broken(conn, -r);
    enum conn_next next = write_bytes(conn, rendered->bytes, 0, rendered->size, now_usec, context);
    if (next == CONN_CLOSE || conn->all_sent || keep_unsent(conn, rendered->bytes, rendered->size))
        return next;
    return close_broken(conn, ENOMEM);
}

static enum conn_next write_greeting(struct conn *conn, uint64_t now_usec,
                                     struct worker_context *context)
{
    const struct greeting *greeting = conn->listener->config->greeting;

    if (!greeting->pieces)
        return write_bytes(conn, greeting->bytes, 0, greeting->size, now_usec, context);
    return conn->has_unsent ? write_unsent(conn, now_usec, context)
                            : render_and_write(conn, now_usec, context);
}

/* Discards what the client has sent. Before everything is acknowledged that is no progress: a
 * client that only sends would hold its place for ever. Returns false, with errno set, if the
 * connection is broken. */
static bool discard_input(struct conn *conn)
{
    bool has_records = conn->listener->listener->type == SOCK_SEQPACKET;
    uint32_t n = 0;

    if (conn->input_ended)
        return true;
    enum socket_discarded result = socket_discard(conn->fd, has_records, CONN_DISCARD_STEP_MAX, &n);
    conn->more_input = result == SOCKET_DISCARDED_SOME;
    conn->input_ended = result == SOCKET_DISCARDED_LAST;
    conn->had_input |= n > 0;
    conn->progressed |= n > 0 && (conn->state == CONN_EXPECTING || conn->acknowledged);
    return result != SOCKET_DISCARD_FAILED;
}

/* Whether fewer bytes are OUTSTANDING than when progress was last checked. */
static bool has_acknowledged_more(struct conn *conn, int64_t outstanding)
{
    if (outstanding < 0 || outstanding >= conn->unacknowledged)
        return false;
    conn->unacknowledged = (uint32_t)outstanding;
    conn->progressed = true;
    return true;
}

/* Waits for the client to close after it has acknowledged everything. */
static enum conn_next await_close(struct conn *conn, uint64_t now_usec)
{
    uint64_t linger_usec = settings_of(conn)->linger_usec;
    uint64_t most_usec = usec_max(linger_usec, CONN_LINGER_MAX_USEC);

    if (!conn->acknowledged)
        conn->progress_msec = conn_msec(conn, now_usec);
    conn->acknowledged = true;
    return conn->input_ended || now_usec >= usec_add(conn_progress_usec(conn), most_usec)
               ? CONN_CLOSE
               : CONN_WAIT_CLOSE;
}

/* Continues with a greeted client that has no input. */
static enum conn_next await_acknowledgement(struct conn *conn, uint64_t now_usec)
{
    int64_t outstanding = conn->acknowledged ? 0 : conn_unacknowledged(conn);

    if (outstanding <= 0)
        return await_close(conn, now_usec);
    /* After the end of stream recv(2) does not report a reset, nor does epoll a second time. */
    int error = conn->input_ended ? socket_error(conn->fd) : 0;
    if (error > 0)
        return close_broken(conn, error);
    (void)has_acknowledged_more(conn, outstanding);
    return CONN_WAIT_ACKNOWLEDGEMENT;
}

/* The data may have arrived before the client was accepted. */
static enum conn_next await_data(struct conn *conn, uint64_t now_usec,
                                 struct worker_context *context)
{
    if (!discard_input(conn))
        return close_broken(conn, errno);
    if (!conn->progressed)
        return conn->input_ended ? CONN_CLOSE : CONN_WAIT_DATA;
    conn->state = CONN_WRITING;
    conn->data_msec = conn->progress_msec = conn_msec(conn, now_usec);
    return write_greeting(conn, now_usec, context);
}

/* Greets a client that is new, or may have sent its first data, and counts the time. The time that
 * the client takes to send them does not count. */
static enum conn_next begin_greeting(struct conn *conn, uint64_t now_usec,
                                     struct worker_context *context)
{
    /* NOW_USEC does not advance within one round of the worker's loop. */
    uint64_t began_usec = clock_now();
    enum conn_next next = conn->state == CONN_EXPECTING ? await_data(conn, now_usec, context)
                                                        : write_greeting(conn, now_usec, context);

    if (conn->state == CONN_GREETED)
        metrics_add_time(context->counters, clock_now() - began_usec);
    return next;
}

/* Continues with a client that could not be greeted at once, and counts the time when it is. */
static enum conn_next continue_greeting(struct conn *conn, uint64_t now_usec,
                                        struct worker_context *context)
{
    if (conn->state == CONN_EXPECTING)
        return begin_greeting(conn, now_usec, context);

    /* A client that sends much before it reads blocks in its own write. Its input must be read
     * before it reads the greeting. */
    if (!discard_input(conn))
        return close_broken(conn, errno);
    enum conn_next next = write_greeting(conn, now_usec, context);
    if (conn->state == CONN_GREETED)
        metrics_add_time(context->counters,
                         now_usec - conn->accepted_usec - (uint64_t)conn->data_msec * 1000);
    return next;
}

enum conn_next conn_begin(struct conn *conn, int fd, struct peer peer,
                          struct worker_listener *listener, uint64_t number, uint64_t now_usec,
                          struct worker_context *context)
{
    bool greet_on_data = listener->config->settings.greet_on == GREET_ON_DATA;

    *conn = (struct conn){
        .listener = listener,
        .number = number,
        .accepted_usec = now_usec,
        .fd = fd,
        .state = greet_on_data ? CONN_EXPECTING : CONN_WRITING,
        .outcome = RESULT_PARTIAL,
        .peer = peer,
    };
    return begin_greeting(conn, now_usec, context);
}

enum conn_next conn_step(struct conn *conn, uint64_t now_usec, struct worker_context *context)
{
    assert(conn->state != CONN_FREE);
    if (conn->state != CONN_GREETED)
        return continue_greeting(conn, now_usec, context);
    return discard_input(conn) ? await_acknowledgement(conn, now_usec) : close_broken(conn, errno);
}

enum conn_next conn_poll(struct conn *conn, short revents, uint64_t now_usec,
                         struct worker_context *context)
{
    if (conn->state != CONN_GREETED)
        return conn_step(conn, now_usec, context);
    if (revents == 0)
        return await_acknowledgement(conn, now_usec);
    /* Both sides have sent their end of stream and the client has acknowledged ours, so the
     * connection is over. Even with unread input close(2) sends no reset (RFC 9293, 3.10.4). */
    if ((revents & (POLLHUP | POLLERR)) == POLLHUP &&
        socket_unacknowledged(conn->fd, conn->peer.family, false) == 0) {
        conn->input_ended = true;
        conn->outcome = RESULT_DELIVERED;
        return CONN_CLOSE;
    }
    return conn_step(conn, now_usec, context);
}

/* Finds a client that has read a small part, which epoll does not report. */
enum conn_next conn_expire(struct conn *conn, uint64_t now_usec)
{
    if (conn->acknowledged)
        return CONN_CLOSE;
    if (conn->state == CONN_GREETED) {
        enum conn_next next = await_acknowledgement(conn, now_usec);

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

/* Returns how many bytes the client's end has acknowledged. A local socket counts the kernel's
 * memory instead of bytes, and 0 once it is gone, so it shows only nothing or everything. */
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
                        struct connection_record *ret_record)
{
    *ret_record = (struct connection_record){
        .listener = conn->listener->name,
        .peer = conn->peer,
        .number = conn->number,
        .ended_usec = now_usec,
        .duration_usec = now_usec - conn->accepted_usec,
        .bytes = conn->sent,
        .bytes_acked = conn->outcome == RESULT_DELIVERED ? conn->sent : acknowledged(conn),
        .result = (enum result)conn->outcome,
    };
    /* A client that has acknowledged everything has it, even if it sent a reset after that. */
    if (conn->all_sent && ret_record->bytes_acked == conn->sent)
        ret_record->result = RESULT_DELIVERED;
}

void conn_close(struct conn *conn, uint64_t now_usec, struct connection_record *ret_record)
{
    /* A client that is dropped before it closes may have unread input; closing then would send a
     * reset. The input of a client that has sent a reset shows that it was not silent. */
    bool lingers = conn->state == CONN_GREETED && settings_of(conn)->linger_usec > 0;
    if ((lingers || conn->outcome == RESULT_RESET) && !discard_input(conn))
        (void)close_broken(conn, errno);
    free_unsent(conn);
    fill_record(conn, now_usec, ret_record);

    conn->fd = safe_close(conn->fd);
    conn->state = CONN_FREE;
}
