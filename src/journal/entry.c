/* SPDX-License-Identifier: MIT */
#include "greetd/journal/entry.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "greetd/base/cleanup.h"
#include "greetd/base/timeout_queue.h"

/* The fields of one journal entry as text; what does not fit is left out whole. */
struct fields {
    struct log_field fields[14];
    size_t n;
    size_t used;
    char text[1536];
};

static void fields_add(struct fields *fields, const char *format, ...) _printf_(2, 3);
static void fields_add(struct fields *fields, const char *format, ...)
{
    size_t room = sizeof(fields->text) - fields->used;
    char *text = fields->text + fields->used;
    va_list arguments;

    va_start(arguments, format);
    int length = vsnprintf(text, room, format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= room || fields->n == ELEMENTSOF(fields->fields))
        return;

    fields->fields[fields->n++].text = text;
    fields->used += (size_t)length + 1;
}

/* Writes ENTRY with these fields. */
static size_t write_with(struct log *log, const struct fields *fields, struct log_entry entry)
{
    entry.fields = fields->fields;
    entry.n_fields = fields->n;
    return log_write(log, &entry);
}

static void add_peer(struct fields *fields, const struct peer *peer)
{
    char address[ADDRESS_TEXT_MAX];

    fields_add(fields, "GREETD_REMOTE_ADDR=%s", peer_format_host(peer, address));
    switch (peer->family) {
    case AF_INET:
    case AF_INET6:
        fields_add(fields, "GREETD_REMOTE_PORT=%u", (unsigned)peer->port);
        break;
    case AF_VSOCK:
        fields_add(fields, "GREETD_REMOTE_PORT=%" PRIu32, peer->vm.port);
        break;
    case AF_UNIX:
        fields_add(fields, "GREETD_REMOTE_PID=%" PRIu32, peer->un.pid);
        if (peer_has_uid(peer))
            fields_add(fields, "GREETD_REMOTE_UID=%" PRIu32, peer->un.uid);
        break;
    default:
        break;
    }
}

size_t connlog_entry_connection(struct log *log, unsigned worker,
                                const struct connlog_connection *c)
{
    char message[LOG_MESSAGE_MAX], address[ADDRESS_TEXT_MAX];
    struct fields fields = {.n = 0};

    snprintf(message, sizeof(message), "Connection from %s", peer_format(&c->peer, address));
    if (log->journal) {
        fields_add(&fields, "GREETD_LISTENER=%s", c->listener);
        add_peer(&fields, &c->peer);
        fields_add(&fields, "GREETD_CONNECTION=%" PRIu64, c->number);
        fields_add(&fields, "GREETD_RESULT=%s", result_name(c->result));
        if (c->reason)
            fields_add(&fields, "GREETD_REASON=%s", c->reason);
        fields_add(&fields, "GREETD_BYTES=%" PRIu64, c->bytes);
        fields_add(&fields, "GREETD_BYTES_ACKED=%" PRIu64, c->bytes_acked);
        fields_add(&fields, "GREETD_DURATION_USEC=%" PRIu64, c->duration_usec);
        fields_add(&fields, "GREETD_WORKER=%u", worker);
    }
    return write_with(
        log, &fields,
        (struct log_entry){LOG_INFO, LOG_ID_CONNECTION, message, .when_usec = c->ended_usec});
}

size_t connlog_entry_exhausted(struct log *log, unsigned worker, int error, uint64_t when_usec)
{
    char message[LOG_MESSAGE_MAX], reason[128];
    struct fields fields = {.n = 0};

    snprintf(message, sizeof(message), "Accepting is paused, clients wait in the queue: %s",
             strerror_r(error, reason, sizeof(reason)));
    fields_add(&fields, "ERRNO=%d", error);
    fields_add(&fields, "GREETD_WORKER=%u", worker);
    return write_with(
        log, &fields,
        (struct log_entry){LOG_WARNING, LOG_ID_EXHAUSTED, message, .when_usec = when_usec});
}

size_t connlog_entry_left_out(struct log *log, uint64_t n)
{
    char message[LOG_MESSAGE_MAX];
    struct fields fields = {.n = 0};

    snprintf(message, sizeof(message), "%" PRIu64 " connection entries left out", n);
    fields_add(&fields, "GREETD_LEFT_OUT=%" PRIu64, n);
    return write_with(
        log, &fields,
        (struct log_entry){LOG_NOTICE, LOG_ID_LEFT_OUT, message, .when_usec = deadline_now()});
}

size_t connlog_entry_message(struct log *log, const char *listener, struct log_entry entry)
{
    struct fields fields = {.n = 0};

    if (listener[0])
        fields_add(&fields, "GREETD_LISTENER=%s", listener);
    return write_with(log, &fields, entry);
}
