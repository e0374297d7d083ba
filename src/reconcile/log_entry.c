/* SPDX-License-Identifier: MIT */
#include "reconcile/log_entry.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "client/json.h"
#include "client/receipt.h"
#include "greetd/base/cleanup.h"
#include "greetd/journal/catalog.h"

enum field {
    FIELD_MESSAGE_ID,
    FIELD_LEFT_OUT,
    FIELD_REMOTE_ADDR,
    FIELD_REMOTE_PORT,
    FIELD_REMOTE_PID,
    FIELD_RESULT,
    FIELD_REASON,
    FIELD_BYTES,
    FIELD_BYTES_ACKED,
    FIELD_DURATION_USEC,
    FIELD_TIMESTAMP,
    FIELDS,
};

static const char *const field_names[FIELDS] = {
    [FIELD_MESSAGE_ID] = "MESSAGE_ID",          [FIELD_LEFT_OUT] = "GREETD_LEFT_OUT",
    [FIELD_REMOTE_ADDR] = "GREETD_REMOTE_ADDR", [FIELD_REMOTE_PORT] = "GREETD_REMOTE_PORT",
    [FIELD_REMOTE_PID] = "GREETD_REMOTE_PID",   [FIELD_RESULT] = "GREETD_RESULT",
    [FIELD_REASON] = "GREETD_REASON",           [FIELD_BYTES] = "GREETD_BYTES",
    [FIELD_BYTES_ACKED] = "GREETD_BYTES_ACKED", [FIELD_DURATION_USEC] = "GREETD_DURATION_USEC",
    [FIELD_TIMESTAMP] = "GREETD_TIMESTAMP",
};

static const char *const connection_ids[] = {
    MESSAGE_ID_CONNECTION,   MESSAGE_ID_REFUSED_NETWORK, MESSAGE_ID_REFUSED_CONNECTIONS,
    MESSAGE_ID_REFUSED_RATE, MESSAGE_ID_REFUSED_PROXY,
};

static enum log_entry_kind kind_of(const struct json_member *id)
{
    if (!id->taken)
        return LOG_ENTRY_OTHER;
    for (size_t i = 0; i < ELEMENTSOF(connection_ids); i++)
        if (strcmp(id->text, connection_ids[i]) == 0)
            return LOG_ENTRY_CONNECTION;
    return strcmp(id->text, MESSAGE_ID_ENTRIES_DROPPED) == 0 ? LOG_ENTRY_LEFT_OUT : LOG_ENTRY_OTHER;
}

static int read_result(struct log_entry *entry, const struct json_member *fields, char *error)
{
    const struct json_member *result = &fields[FIELD_RESULT], *reason = &fields[FIELD_REASON];

    entry->result = RESULT_N;
    for (enum result i = 0; i < RESULT_N; i++)
        if (result->taken && strcmp(result->text, result_name(i)) == 0)
            entry->result = i;
    for (enum refusal i = REFUSAL_NONE + 1; i < REFUSAL_N; i++)
        if (reason->taken && strcmp(reason->text, refusal_name(i)) == 0)
            entry->reason = i;
    if (entry->result != RESULT_N)
        return 0;
    snprintf(error, JSON_ERROR_MAX, "%s is not a result of greetd", result->name);
    return -EINVAL;
}

static int read_peers(struct log_entry *entry, const struct json_member *fields, char *error)
{
    const struct json_member *address = &fields[FIELD_REMOTE_ADDR];

    if (!address->taken) {
        snprintf(error, JSON_ERROR_MAX, "%s is missing", address->name);
        return -EINVAL;
    }
    return receipt_read_peer(&entry->client, address, &fields[FIELD_REMOTE_PORT],
                             &fields[FIELD_REMOTE_PID], error);
}

static int read_connection(struct log_entry *entry, const struct json_member *fields, char *error)
{
    uint64_t duration_usec = 0;
    const struct {
        uint64_t *to;
        enum field field;
    } numbers[] = {
        {&entry->bytes, FIELD_BYTES},
        {&entry->bytes_acked, FIELD_BYTES_ACKED},
        {&duration_usec, FIELD_DURATION_USEC},
        {&entry->ended_usec, FIELD_TIMESTAMP},
    };
    int r = 0;

    for (size_t i = 0; i < ELEMENTSOF(numbers) && r >= 0; i++)
        r = receipt_read_number(numbers[i].to, &fields[numbers[i].field], UINT64_MAX, error);
    if (r >= 0)
        r = read_result(entry, fields, error);
    if (r >= 0)
        r = read_peers(entry, fields, error);
    entry->accepted_usec =
        entry->ended_usec - (duration_usec < entry->ended_usec ? duration_usec : entry->ended_usec);
    return r;
}

int log_entry_parse(struct log_entry *ret, const char *line, size_t size, char *error)
{
    struct json_member fields[FIELDS];
    struct log_entry entry = {.client.family = AF_UNSPEC};

    for (enum field i = 0; i < FIELDS; i++)
        fields[i].name = field_names[i];
    int r = json_read_object(fields, FIELDS, line, size, error);
    if (r < 0)
        return r;
    entry.kind = kind_of(&fields[FIELD_MESSAGE_ID]);
    if (entry.kind == LOG_ENTRY_CONNECTION)
        r = read_connection(&entry, fields, error);
    else if (entry.kind == LOG_ENTRY_LEFT_OUT)
        r = receipt_read_number(&entry.left_out, &fields[FIELD_LEFT_OUT], UINT64_MAX, error);
    if (r >= 0)
        *ret = entry;
    return r;
}
