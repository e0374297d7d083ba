/* SPDX-License-Identifier: MIT */
#include "greetd/worker/conn.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "greetd/net/socket.h"
#include "greetd/worker/drip.h"
#include "greetd/worker/header.h"
#include "greetd/worker/writing.h"

/* Discards what the client has sent. Before everything is acknowledged that is no progress: a
 * client that only sends would hold its place for ever. Returns false, with errno set, if the
 * connection is broken. */
static bool discard_input(struct conn *conn)
{
    bool has_records = conn_listener(conn)->listener->type == SOCK_SEQPACKET;
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

/* Notes the progress if fewer bytes are OUTSTANDING than when it was last checked. Returns whether
 * that is so. */
static bool note_acknowledged(struct conn *conn, int64_t outstanding)
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
    uint64_t linger_usec = conn_settings(conn)->linger_usec;
    uint64_t most_usec = usec_max(linger_usec, CONN_LINGER_MAX_USEC);

    if (!conn->acknowledged)
        conn->acknowledged_usec = now_usec;
    conn->acknowledged = true;
    return conn->input_ended || conn_since_progress_usec(conn, now_usec) >= most_usec
               ? CONN_CLOSE
               : CONN_WAIT_CLOSE;
}

/* Continues with a greeted client that has no input. */
static enum conn_next await_acknowledgement(struct conn *conn, uint64_t now_usec)
{
    int64_t outstanding = conn->acknowledged ? 0 : conn_unacknowledged(conn);

    if (outstanding <= 0 && !conn->local)
        return await_close(conn, now_usec);
    /* After the end of stream recv(2) does not report a reset, nor does epoll a second time. */
    int error = conn->input_ended ? socket_error(conn->fd) : 0;
    if (error > 0)
        return conn_break(conn, error);
    if (outstanding <= 0)
        return await_close(conn, now_usec);
    (void)note_acknowledged(conn, outstanding);
    return CONN_WAIT_ACKNOWLEDGEMENT;
}

/* While the client was waited for, its greeting may have been replaced. */
static void take_greeting_in_force(struct conn *conn)
{
    struct worker_greeting *in_force = worker_greeting_take(conn_listener(conn));

    worker_greeting_drop(conn->greeting);
    conn->greeting = in_force;
}

static enum conn_next write_greeting(struct conn *conn, uint64_t now_usec,
                                     struct worker_context *context)
{
    return conn_drips(conn) ? drip_begin(conn, now_usec, context)
                            : writing_step(conn, now_usec, context);
}

/* The data may have arrived before the client was accepted. */
static enum conn_next await_data(struct conn *conn, uint64_t now_usec,
                                 struct worker_context *context)
{
    if (!discard_input(conn))
        return conn_break(conn, errno);
    if (!conn->progressed)
        return conn->input_ended ? CONN_CLOSE : CONN_WAIT_DATA;
    take_greeting_in_force(conn);
    conn->state = CONN_WRITING;
    conn->data_msec = conn->progress_msec = conn_msec(conn, now_usec);
    return write_greeting(conn, now_usec, context);
}

/* The time of a drip is a matter of the configuration, and would hide the others. */
static void count_time(const struct conn *conn, struct worker_context *context, uint64_t usec)
{
    if (conn->state == CONN_GREETED && conn->refusal == REFUSAL_NONE && !conn_drips(conn))
        metrics_add_time(context->counters, usec);
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

    count_time(conn, context, clock_now() - began_usec);
    return next;
}

/* Closes the client, or first sends it RefuseMessage=. */
static enum conn_next refuse(struct conn *conn, uint64_t now_usec, struct worker_context *context)
{
    struct worker_greeting *refusal = &conn_listener(conn)->refusal;

    if (!refusal->text)
        return CONN_CLOSE;
    worker_greeting_drop(conn->greeting);
    refusal->n_clients++;
    conn->greeting = refusal;
    conn->state = CONN_WRITING;
    return writing_step(conn, now_usec, context);
}

/* Decides whether to admit PEER, whose address is that in the PROXY header if there is one. */
static struct admission admit_client(const struct config_listener *config, const struct peer *peer,
                                     uint64_t now_usec, struct worker_context *context)
{
    return admission_check(config->networks, config->limits, context->shared->sources, peer,
                           now_usec);
}

struct admission conn_admit(const struct worker_listener *listener, const struct peer *peer,
                            uint64_t now_usec, struct worker_context *context)
{
    const struct config_listener *config = listener->config;

    if (config->settings.proxy_protocol)
        return (struct admission){.refusal = networks_allow(config->trusted, peer) ? REFUSAL_NONE
                                                                                   : REFUSAL_PROXY};
    return admit_client(config, peer, now_usec, context);
}

static enum conn_next begin_admitted(struct conn *conn, const struct admission *admission,
                                     uint64_t now_usec, struct worker_context *context)
{
    bool greet_on_data = conn_settings(conn)->greet_on == GREET_ON_DATA;

    conn->counted = admission->counted;
    conn->refusal = admission->refusal & 7;
    conn->state = greet_on_data ? CONN_EXPECTING : CONN_WRITING;
    return conn->refusal == REFUSAL_NONE ? begin_greeting(conn, now_usec, context)
                                         : refuse(conn, now_usec, context);
}

/* Continues with a client whose PROXY header has arrived. Data behind it count as its first data.
 */
static enum conn_next begin_proxied(struct conn *conn, uint64_t now_usec,
                                    struct worker_context *context)
{
    struct admission admission =
        admit_client(conn_listener(conn)->config, &conn->peer, now_usec, context);

    take_greeting_in_force(conn);
    conn->data_msec = conn->progress_msec = conn_msec(conn, now_usec);
    conn->progressed = conn->had_input;
    enum conn_next next = begin_admitted(conn, &admission, now_usec, context);
    /* Its data have DataTimeoutSec= of their own. */
    conn->progressed |= next == CONN_WAIT_DATA;
    return next;
}

static enum conn_next await_header(struct conn *conn, uint64_t now_usec,
                                   struct worker_context *context)
{
    int r = header_read(conn);

    if (r > 0)
        return begin_proxied(conn, now_usec, context);
    if (r == 0)
        return conn->input_ended ? CONN_CLOSE : CONN_WAIT_DATA;
    if (r != -EBADMSG)
        return conn_break(conn, -r);
    conn->refusal = REFUSAL_PROXY;
    return refuse(conn, now_usec, context);
}

/* Continues with a client that could not be greeted at once, and counts the time when it is. */
static enum conn_next continue_greeting(struct conn *conn, uint64_t now_usec,
                                        struct worker_context *context)
{
    if (conn->state == CONN_HEADER)
        return await_header(conn, now_usec, context);
    if (conn->state == CONN_EXPECTING)
        return begin_greeting(conn, now_usec, context);

    /* A client that sends much before it reads blocks in its own write. Its input must be read
     * before it reads the greeting. */
    if (!discard_input(conn))
        return conn_break(conn, errno);
    enum conn_next next = conn_drips(conn) ? drip_step(conn, now_usec, context)
                                           : writing_step(conn, now_usec, context);
    count_time(conn, context, conn_since_data_usec(conn, now_usec));
    return next;
}

enum conn_next conn_begin(struct conn *conn, const struct conn_accepted *accepted, uint64_t number,
                          uint64_t now_usec, struct worker_context *context)
{
    bool has_header = accepted->listener->config->settings.proxy_protocol &&
                      accepted->admission.refusal == REFUSAL_NONE;

    *conn = (struct conn){
        .greeting = worker_greeting_take(accepted->listener),
        .number = number,
        .accepted_usec = now_usec,
        .fd = accepted->fd,
        .state = CONN_HEADER,
        .outcome = RESULT_PARTIAL,
        .proxy_error = PROXY_UNTRUSTED,
        .local = !peer_is_internet(&accepted->peer),
        .peer = accepted->peer,
    };
    return has_header ? await_header(conn, now_usec, context)
                      : begin_admitted(conn, &accepted->admission, now_usec, context);
}

enum conn_next conn_step(struct conn *conn, uint64_t now_usec, struct worker_context *context)
{
    assert(conn->state != CONN_FREE);
    if (conn->state != CONN_GREETED)
        return continue_greeting(conn, now_usec, context);
    return discard_input(conn) ? await_acknowledgement(conn, now_usec) : conn_break(conn, errno);
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
    if ((revents & (POLLHUP | POLLERR)) != POLLHUP || socket_unacknowledged(conn->fd, false) != 0)
        return conn_step(conn, now_usec, context);
    conn->input_ended = true;
    /* A local client may have closed since the poll, and left bytes unread. */
    int error = conn->local ? socket_error(conn->fd) : 0;
    if (error > 0)
        return conn_break(conn, error);
    conn->outcome = RESULT_DELIVERED;
    return CONN_CLOSE;
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
    if (conn->state == CONN_WRITING && note_acknowledged(conn, conn_unacknowledged(conn)))
        return CONN_WAIT_WRITE;
    conn->outcome = RESULT_TIMEOUT;
    if (conn->state == CONN_HEADER) {
        conn->refusal = REFUSAL_PROXY;
        conn->proxy_error = PROXY_LATE;
    }
    return CONN_CLOSE;
}

/* Returns how many bytes the client's end has acknowledged. A local socket counts the kernel's
 * memory instead of bytes, so it shows only nothing or everything, and 0 once it is gone; then it
 * has an error if bytes were left unread. */
static uint32_t acknowledged(const struct conn *conn)
{
    /* A client that is refused costs no system call here. */
    int64_t outstanding = conn->sent > 0 ? conn_unacknowledged(conn) : 0;

    if (conn->local && conn->sent > 0 &&
        (outstanding != 0 || conn->outcome == RESULT_RESET || socket_error(conn->fd) > 0))
        return 0;
    if (outstanding < 0 || outstanding > conn->sent)
        return 0;
    uint32_t n = conn->sent - (uint32_t)outstanding;
    if (conn->outcome != RESULT_RESET || !conn_listener(conn)->fast_open)
        return n;
    /* If the handshake has never ended, the end of stream was not queued, but seems to be. */
    uint64_t known = socket_acknowledged(conn->fd);
    return known < n ? (uint32_t)known : n;
}

/* Returns the smoothed round-trip time for the log in microseconds; 0 if it is not known, or not to
 * be logged. */
static uint32_t logged_rtt_usec(const struct conn *conn)
{
    const struct worker_greeting *greeting = conn->greeting;

    if (!greeting->listener->fast_open && !(greeting->text->needs & VARIABLE_NEEDS_RTT))
        return 0;
    int64_t rtt_usec = socket_rtt_usec(conn->fd);
    return rtt_usec > 0 ? (uint32_t)rtt_usec : 0;
}

static void fill_record(const struct conn *conn, uint64_t now_usec,
                        struct connection_record *ret_record)
{
    *ret_record = (struct connection_record){
        .listener = conn_listener(conn)->name,
        .peer = conn->peer,
        .number = conn->number,
        .ended_usec = now_usec,
        .duration_usec = now_usec - conn->accepted_usec,
        .bytes = conn->sent,
        .bytes_acked = conn->outcome == RESULT_DELIVERED ? conn->sent : acknowledged(conn),
        .rtt_usec = logged_rtt_usec(conn),
        .result = (enum result)conn->outcome,
        .refusal = (enum refusal)conn->refusal,
        .proxy_error = (enum proxy_error)conn->proxy_error,
    };
    /* A client that has acknowledged everything has it, even if it sent a reset after that. */
    if (conn->all_sent && ret_record->bytes_acked == conn->sent)
        ret_record->result = RESULT_DELIVERED;
    if (conn->refusal != REFUSAL_NONE)
        ret_record->result = RESULT_REFUSED;
}

/* Discards what a refused client has not taken, if that is much. */
static void discard_refusal(const struct conn *conn)
{
    if (conn->refusal != REFUSAL_NONE && !conn->local && conn->sent > CONN_LEFT_MAX &&
        conn_unacknowledged(conn) > CONN_LEFT_MAX)
        socket_reset_on_close(conn->fd);
}

void conn_close(struct conn *conn, uint64_t now_usec, struct connection_record *ret_record)
{
    /* A client that is dropped before it closes may have unread input; closing then would send a
     * reset. The input of a client that has sent a reset shows that it was not silent. */
    bool lingers = conn->state == CONN_GREETED && conn_settings(conn)->linger_usec > 0;
    bool drips = conn->state == CONN_WRITING && conn_drips(conn);
    if ((lingers || drips || conn->outcome == RESULT_RESET) && !discard_input(conn))
        (void)conn_break(conn, errno);
    writing_free_unsent(conn);
    header_free(conn);
    fill_record(conn, now_usec, ret_record);

    discard_refusal(conn);
    conn->fd = safe_close(conn->fd);
    conn->state = CONN_FREE;
}

/* Logs the client, or only counts it if it was silent and such clients are not logged. */
static void log_client(const struct conn *conn, const struct connection_record *record,
                       struct worker_context *context)
{
    if (!conn_listener(conn)->config->log_silent && conn_was_silent(conn))
        metrics_add(&context->counters->log_silent, 1);
    else
        logger_log_connection(context->shared->logger, context->index, record);
}

void conn_account(const struct conn *conn, const struct connection_record *record,
                  struct worker_context *context)
{
    struct worker_listener *listener = conn_listener(conn);

    if (conn_settings(conn)->log_connections && logger_wants_connections(context->shared->logger))
        log_client(conn, record, context);
    if (conn->counted)
        sources_release(context->shared->sources, &conn->peer);
    if (record->refusal != REFUSAL_NONE)
        metrics_add(&listener->counters->refused[record->refusal], 1);
    metrics_add(&listener->counters->results[record->result], 1);
    metrics_add(&context->counters->ended, 1);
    worker_greeting_drop(conn->greeting);
    listener->n_clients--;
}
