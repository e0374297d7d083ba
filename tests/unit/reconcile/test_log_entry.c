/* SPDX-License-Identifier: MIT */
#include "reconcile/log_entry.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "client/json.h"
#include "greetd/journal/catalog.h"

#define ID(id) "{\"MESSAGE_ID\":\"" id "\""

/* What every entry of a connection has, but for the result. */
#define FIELDS                                                                                     \
    ",\"GREETD_REMOTE_ADDR\":\"192.0.2.1\",\"GREETD_REMOTE_PORT\":\"4000\",\"GREETD_BYTES\":"      \
    "\"18\","                                                                                      \
    "\"GREETD_BYTES_ACKED\":\"5\",\"GREETD_DURATION_USEC\":\"100\",\"GREETD_TIMESTAMP\":\"1000\""

static char error[JSON_ERROR_MAX];

static struct log_entry parse(const char *line)
{
    struct log_entry entry = {0};

    cr_assert_eq(log_entry_parse(&entry, line, strlen(line), error), 0, "%s: %s", line, error);
    return entry;
}

static void refuse(const char *line, const char *why)
{
    struct log_entry entry;

    cr_expect_eq(log_entry_parse(&entry, line, strlen(line), error), -EINVAL, "%s", line);
    cr_expect_str_eq(error, why, "%s", line);
}

static void expect_peer(const struct peer *peer, const char *text)
{
    char buffer[ADDRESS_TEXT_MAX];

    cr_expect_str_eq(peer_format(peer, buffer), text);
}

Test(log_entry, of_a_connection_has_its_fields)
{
    struct log_entry entry =
        parse(ID(MESSAGE_ID_CONNECTION) FIELDS ",\"GREETD_RESULT\":\"unconfirmed\","
                                               "\"GREETD_PROXY_ADDR\":\"::1\","
                                               "\"MESSAGE\":[72,105],\"_PID\":[\"1\",\"2\"]}");

    cr_expect_eq(entry.kind, LOG_ENTRY_CONNECTION);
    expect_peer(&entry.client, "192.0.2.1:4000");
    cr_expect_eq(entry.result, RESULT_UNCONFIRMED);
    cr_expect_eq(entry.reason, REFUSAL_NONE);
    cr_expect_eq(entry.bytes, 18);
    cr_expect_eq(entry.bytes_acked, 5);
    cr_expect_eq(entry.accepted_usec, 900);
    cr_expect_eq(entry.ended_usec, 1000);
    cr_expect_eq(entry.left_out, 0);
}

Test(log_entry, of_a_client_of_a_unix_socket_has_its_process)
{
    struct log_entry entry = parse(
        ID(MESSAGE_ID_CONNECTION) ",\"GREETD_REMOTE_ADDR\":\"unix\",\"GREETD_REMOTE_PID\":\"7\","
                                  "\"GREETD_BYTES\":\"18\",\"GREETD_BYTES_ACKED\":\"18\","
                                  "\"GREETD_DURATION_USEC\":\"2000\",\"GREETD_TIMESTAMP\":\"1000\","
                                  "\"GREETD_RESULT\":\"delivered\"}");

    expect_peer(&entry.client, "unix:pid=7");
    cr_expect_eq(entry.accepted_usec, 0); /* the clock was set meanwhile */
}

Test(log_entry, of_a_refused_connection_has_its_reason)
{
    const char *ids[] = {MESSAGE_ID_REFUSED_NETWORK, MESSAGE_ID_REFUSED_CONNECTIONS,
                         MESSAGE_ID_REFUSED_RATE, MESSAGE_ID_REFUSED_PROXY};

    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        enum refusal reason = (enum refusal)(REFUSAL_NETWORK + i);
        char line[1024];

        snprintf(line, sizeof(line),
                 "{\"MESSAGE_ID\":\"%s\"" FIELDS
                 ",\"GREETD_RESULT\":\"refused\",\"GREETD_REASON\":\"%s\"}",
                 ids[i], refusal_name(reason));
        struct log_entry entry = parse(line);
        cr_expect_eq(entry.kind, LOG_ENTRY_CONNECTION);
        cr_expect_eq(entry.result, RESULT_REFUSED);
        cr_expect_eq(entry.reason, reason);
    }
}

Test(log_entry, has_each_result)
{
    for (enum result result = 0; result < RESULT_N; result++) {
        char line[1024];

        snprintf(line, sizeof(line), ID(MESSAGE_ID_CONNECTION) FIELDS ",\"GREETD_RESULT\":\"%s\"}",
                 result_name(result));
        cr_expect_eq(parse(line).result, result);
    }
}

Test(log_entry, of_entries_left_out_has_their_number)
{
    struct log_entry entry = parse(ID(MESSAGE_ID_ENTRIES_DROPPED) ",\"GREETD_LEFT_OUT\":\"12\"}");

    cr_expect_eq(entry.kind, LOG_ENTRY_LEFT_OUT);
    cr_expect_eq(entry.left_out, 12);
    refuse(ID(MESSAGE_ID_ENTRIES_DROPPED) "}",
           "GREETD_LEFT_OUT is not a number up to 18446744073709551615");
}

Test(log_entry, of_something_else_is_passed_over)
{
    cr_expect_eq(parse("{}").kind, LOG_ENTRY_OTHER);
    cr_expect_eq(parse("{\"MESSAGE_ID\":null}").kind, LOG_ENTRY_OTHER);
    cr_expect_eq(parse("{\"MESSAGE_ID\":[\"a\",\"b\"]}").kind, LOG_ENTRY_OTHER);
    cr_expect_eq(parse(ID(MESSAGE_ID_LISTENING) "}").kind, LOG_ENTRY_OTHER);
    cr_expect_eq(parse(ID(MESSAGE_ID_MESSAGES_DROPPED) ",\"GREETD_LEFT_OUT\":\"3\"}").left_out, 0);
}

Test(log_entry, without_a_field_is_refused)
{
    refuse("{", "byte 2: the name of a member is missing");
    refuse(ID(MESSAGE_ID_CONNECTION) "}",
           "GREETD_BYTES is not a number up to 18446744073709551615");
    refuse(ID(MESSAGE_ID_CONNECTION) FIELDS "}", "GREETD_RESULT is not a result of greetd");
    refuse(ID(MESSAGE_ID_CONNECTION) FIELDS ",\"GREETD_RESULT\":\"lost\"}",
           "GREETD_RESULT is not a result of greetd");
    refuse(ID(MESSAGE_ID_CONNECTION) ",\"GREETD_BYTES\":1,\"GREETD_BYTES_ACKED\":1,"
                                     "\"GREETD_DURATION_USEC\":1,\"GREETD_TIMESTAMP\":1,"
                                     "\"GREETD_RESULT\":\"error\"}",
           "GREETD_REMOTE_ADDR is missing");
    refuse(ID(MESSAGE_ID_CONNECTION) ",\"GREETD_BYTES\":1,\"GREETD_BYTES_ACKED\":1,"
                                     "\"GREETD_DURATION_USEC\":1,\"GREETD_TIMESTAMP\":1,"
                                     "\"GREETD_RESULT\":\"error\",\"GREETD_REMOTE_ADDR\":\"::1\","
                                     "\"GREETD_REMOTE_PORT\":\"x\"}",
           "GREETD_REMOTE_PORT is not a number up to 4294967295");
    refuse(ID(MESSAGE_ID_CONNECTION) ",\"GREETD_BYTES\":1,\"GREETD_BYTES_ACKED\":1,"
                                     "\"GREETD_DURATION_USEC\":1,\"GREETD_TIMESTAMP\":1,"
                                     "\"GREETD_RESULT\":\"error\",\"GREETD_REMOTE_ADDR\":\"unix\","
                                     "\"GREETD_REMOTE_PID\":\"x\"}",
           "GREETD_REMOTE_PID is not a number up to 4294967295");
}
