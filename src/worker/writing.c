/* SPDX-License-Identifier: MIT */
#include "greetd/worker/writing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "greetd/greeting/render.h"
#include "greetd/net/socket.h"

/* Keeps rare code out of the path of a client of a plain message. */
#define _noinline_ __attribute__((noinline))

/* A record of SOCK_SEQPACKET must fit as a whole into the socket's buffer (wmem_default in
 * socket(7)). */
#define WRITING_RECORD_MAX ((size_t)64 * 1024)

/* Sends the end of stream, which rides on the last data segment: the kernel has the whole
 * greeting. */
static enum conn_next send_end_of_stream(struct conn *conn, struct worker_context *context)
{
    conn->outcome = RESULT_UNCONFIRMED;
    conn->all_sent = true;
    /* Also with LingerSec=0: close(2) on unread input would drop the segment that MSG_MORE holds
     * back, and a further segment costs more than this system call. */
    if (shutdown(conn->fd, SHUT_WR) < 0)
        return conn_break(conn, errno);
    if (conn->refusal == REFUSAL_NONE)
        metrics_add(&context->counters->greeted, 1);
    conn->state = CONN_GREETED;
    conn->unacknowledged = UINT32_MAX;

    /* After the client's end of stream no data can arrive that a reset would answer. But until its
     * acknowledgement the client may lack a part. */
    return conn_settings(conn)->linger_usec == 0 ||
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
    if (!conn_is_overdue(conn, now_usec))
        return CONN_WAIT_SOON;
    conn->outcome = RESULT_TIMEOUT;
    return CONN_CLOSE;
}

/* Gives the kernel the next part of BYTES, which are those of the greeting from BEGIN to END. The
 * end of stream follows END if IS_LAST. Returns the size of the part or a negative errno. */
static ssize_t send_part(struct conn *conn, const char *bytes, size_t begin, size_t end,
                         bool is_last)
{
    bool has_records = conn_listener(conn)->listener->type == SOCK_SEQPACKET;
    size_t left = end - conn->sent;
    size_t size = has_records && left > WRITING_RECORD_MAX ? WRITING_RECORD_MAX : left;
    ssize_t n;

    /* MSG_MORE holds the last segment back, so that it carries the end of stream (TCP_CORK in
     * tcp(7)). The end of stream of a client with Fast Open may wait in the kernel for the end of
     * the handshake; the greeting need not. */
    bool holds_back = is_last && !conn_is_in_handshake(conn);
    int flags = holds_back ? MSG_MORE | MSG_NOSIGNAL : MSG_NOSIGNAL;
    do
        n = send(conn->fd, bytes + (conn->sent - begin), size, flags);
    while (n < 0 && errno == EMSGSIZE && has_records && (size /= 2) > 0);
    return n < 0 ? -errno : n;
}

/* The arguments are those of send_part(), and stay in registers: every client pays for this. */
static inline enum conn_next write_bytes(struct conn *conn, const char *bytes, size_t begin,
                                         size_t end, bool is_last, uint64_t now_usec,
                                         struct worker_context *context)
{
    while (conn->sent < end) {
        ssize_t n = send_part(conn, bytes, begin, end, is_last);

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
            return conn_break(conn, (int)-n);
        }
    }
    return is_last ? send_end_of_stream(conn, context) : CONN_WAIT_DRIP;
}

enum conn_next writing_part(struct conn *conn, const char *bytes, size_t begin, size_t end,
                            bool is_last, uint64_t now_usec, struct worker_context *context)
{
    return write_bytes(conn, bytes, begin, end, is_last, now_usec, context);
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

void writing_free_unsent(struct conn *conn)
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
        write_bytes(conn, unsent->bytes, unsent->begin, unsent->end, true, now_usec, context);
    if (conn->all_sent)
        writing_free_unsent(conn);
    return next;
}

/* The local end of a socket that was accepted from a bound address has this address. */
static const struct address *local_address(const struct worker_listener *wl, int fd,
                                           struct address *buffer)
{
    return wl->wildcard && socket_read_address(fd, buffer) >= 0 ? buffer : &wl->listener->address;
}

struct variable_client writing_values(const struct worker_greeting *greeting, int fd,
                                      const struct peer *peer, uint64_t number,
                                      struct worker_context *context)
{
    const struct worker_listener *wl = greeting->listener;
    unsigned needs = greeting->text->needs;

    return (struct variable_client){
        .peer = peer,
        .local = needs & VARIABLE_NEEDS_LOCAL ? local_address(wl, fd, &context->local) : NULL,
        .listener = wl->name,
        .number = number,
        .rtt_usec = needs & VARIABLE_NEEDS_RTT ? socket_rtt_usec(fd) : -1,
        .pid = context->shared->pid,
        .clock = &context->clock,
        .random = &context->random,
        .metrics = context->shared->metrics,
    };
}

/* Fills in the variables, in the buffer of the worker. */
static int render(const struct conn *conn, struct worker_context *context)
{
    const struct variable_client client =
        writing_values(conn->greeting, conn->fd, &conn->peer, conn->number, context);

    return render_greeting(&context->rendered, conn->greeting->text, &client);
}

int writing_render(struct conn *conn, struct worker_context *context)
{
    const struct buffer *rendered = &context->rendered;
    int r = render(conn, context);

    if (r < 0)
        return r;
    return keep_unsent(conn, rendered->bytes, rendered->size) ? 0 : -ENOMEM;
}

/* The buffer of the worker is enough: nearly every client takes its greeting at once. */
static _noinline_ enum conn_next render_and_write(struct conn *conn, uint64_t now_usec,
                                                  struct worker_context *context)
{
    const struct buffer *rendered = &context->rendered;
    int r = render(conn, context);

    if (r < 0)
        return conn_break(conn, -r);
    enum conn_next next =
        write_bytes(conn, rendered->bytes, 0, rendered->size, true, now_usec, context);
    if (next == CONN_CLOSE || conn->all_sent || keep_unsent(conn, rendered->bytes, rendered->size))
        return next;
    return conn_break(conn, ENOMEM);
}

enum conn_next writing_step(struct conn *conn, uint64_t now_usec, struct worker_context *context)
{
    const struct greeting *greeting = conn->greeting->text;

    if (greeting_is_plain(greeting))
        return write_bytes(conn, greeting->bytes, 0, greeting->size, true, now_usec, context);
    return conn->has_unsent ? write_unsent(conn, now_usec, context)
                            : render_and_write(conn, now_usec, context);
}
