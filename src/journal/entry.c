/* SPDX-License-Identifier: MIT */
#include "greetd/journal/entry.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "greetd/base/cleanup.h"
#include "greetd/base/clock.h"
#include "greetd/journal/catalog.h"
#include "greetd/metrics/result.h"

/* The fields of one journal entry as text; a field that does not fit is omitted. */
struct fields {
    const char *fields[15];
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

    fields->fields[fields->n++] = text;
    fields->used += (size_t)length + 1;
}

/* Writes ENTRY with these fields. */
static size_t write_with(struct sink *sink, const struct fields *fields, struct sink_entry entry)
{
    entry.fields = fields->fields;
    entry.n_fields = fields->n;
    return sink_write(sink, &entry);
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
        if (peer->un.pid > 0)
            fields_add(fields, "GREETD_REMOTE_PID=%" PRIu32, peer->un.pid);
        if (peer_has_uid(peer))
            fields_add(fields, "GREETD_REMOTE_UID=%" PRIu32, peer->un.uid);
        break;
    default:
        break;
    }
}

static void add_proxy(struct fields *fields, const struct peer *proxy)
{
    char address[ADDRESS_TEXT_MAX];

    if (proxy->family == AF_UNSPEC)
        return;
    peer_format_host(proxy, address);
    fields_add(fields, "GREETD_PROXY_ADDR=%s", address);
}

static void add_connection(struct fields *fields, unsigned worker,
                           const struct connection_record *record)
{
    fields_add(fields, "GREETD_LISTENER=%s", record->listener);
    add_peer(fields, &record->peer);
    add_proxy(fields, &record->proxy);
    fields_add(fields, "GREETD_CONNECTION=%" PRIu64, record->number);
    fields_add(fields, "GREETD_RESULT=%s", result_name(record->result));
    if (record->refusal != REFUSAL_NONE)
        fields_add(fields, "GREETD_REASON=%s", refusal_name(record->refusal));
    fields_add(fields, "GREETD_BYTES=%" PRIu64, record->bytes);
    fields_add(fields, "GREETD_BYTES_ACKED=%" PRIu64, record->bytes_acked);
    fields_add(fields, "GREETD_DURATION_USEC=%" PRIu64, record->duration_usec);
    if (record->rtt_usec > 0)
        fields_add(fields, "GREETD_RTT_USEC=%" PRIu32, record->rtt_usec);
    fields_add(fields, "GREETD_WORKER=%u", worker);
}

/* Returns why the client was refused, the end of a sentence, or NULL; and the id of the entry. */
static const char *describe_refusal(const struct connection_record *record, const char **ret_id)
{
    switch (record->refusal) {
    case REFUSAL_NETWORK:
        *ret_id = MESSAGE_ID_REFUSED_NETWORK;
        return "its network is not allowed";
    case REFUSAL_CONNECTIONS:
        *ret_id = MESSAGE_ID_REFUSED_CONNECTIONS;
        return "its source has MaxConnectionsPerSource= connections already";
    case REFUSAL_RATE:
        *ret_id = MESSAGE_ID_REFUSED_RATE;
        return "its source connects more often than RateLimitPerSourceBurst= allows";
    case REFUSAL_PROXY:
        *ret_id = MESSAGE_ID_REFUSED_PROXY;
        return proxy_error_text(record->proxy_error);
    case REFUSAL_NONE:
    case REFUSAL_N:
        break;
    }
    *ret_id = MESSAGE_ID_CONNECTION;
    return NULL;
}

size_t entry_write_connection(struct sink *sink, unsigned worker,
                              const struct connection_record *record)
{
    char message[SINK_MESSAGE_MAX], address[ADDRESS_TEXT_MAX];
    struct fields fields = {.n = 0};
    const char *id, *why = describe_refusal(record, &id);

    snprintf(message, sizeof(message), "Connection from %s%s%s",
             peer_format(&record->peer, address), why ? " refused: " : "", why ? why : "");
    if (sink->journal)
        add_connection(&fields, worker, record);
    return write_with(sink, &fields,
                      (struct sink_entry){LOG_INFO, id, message, .when_usec = record->ended_usec});
}

size_t entry_write_accept_paused(struct sink *sink, unsigned worker, int error, uint64_t when_usec)
{
    char message[SINK_MESSAGE_MAX], reason[128];
    struct fields fields = {.n = 0};

    snprintf(message, sizeof(message), "Accepting is paused, clients wait in the queue: %s",
             strerror_r(error, reason, sizeof(reason)));
    fields_add(&fields, "ERRNO=%d", error);
    fields_add(&fields, "GREETD_WORKER=%u", worker);
    return write_with(sink, &fields,
                      (struct sink_entry){LOG_WARNING, MESSAGE_ID_ACCEPT_PAUSED, message,
                                          .when_usec = when_usec});
}

size_t entry_write_dropped(struct sink *sink, uint64_t n)
{
    char message[SINK_MESSAGE_MAX];
    struct fields fields = {.n = 0};

    snprintf(message, sizeof(message), "%" PRIu64 " connection entries left out", n);
    fields_add(&fields, "GREETD_LEFT_OUT=%" PRIu64, n);
    return write_with(sink, &fields,
                      (struct sink_entry){LOG_NOTICE, MESSAGE_ID_ENTRIES_DROPPED, message,
                                          .when_usec = clock_now()});
}

size_t entry_write_message(struct sink *sink, const char *listener, struct sink_entry entry)
{
    struct fields fields = {.n = 0};

    if (listener[0])
        fields_add(&fields, "GREETD_LISTENER=%s", listener);
    return write_with(sink, &fields, entry);
}
