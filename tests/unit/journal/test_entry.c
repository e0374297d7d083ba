/* SPDX-License-Identifier: MIT */
#include "greetd/journal/entry.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <unistd.h>

#include "greetd/base/cleanup.h"
#include "greetd/base/clock.h"
#include "greetd/journal/catalog.h"
#include "greetd/journal/record.h"
#include "greetd/metrics/result.h"
#include "support/fake_journal.h"

static struct sink sink;

static void set_up(void)
{
    fake_journal_announce(STDERR_FILENO, 0);
    sink_init(&sink, STDERR_FILENO);
}

TestSuite(entry, .init = set_up);

static void write_connection(struct peer peer, enum result result, enum refusal refusal)
{
    entry_write_connection(&sink, 3,
                           &(const struct connection_record){
                               .listener = "web",
                               .peer = peer,
                               .number = 7,
                               .duration_usec = 123,
                               .bytes = 18,
                               .bytes_acked = 11,
                               .result = result,
                               .refusal = refusal,
                           });
}

Test(entry, connection_has_the_common_fields)
{
    write_connection(
        (struct peer){.family = AF_INET, .port = 54321, .in.s_addr = htonl(0x7f000001)},
        RESULT_PARTIAL, REFUSAL_NONE);
    cr_expect(fake_journal_has("MESSAGE=Connection from 127.0.0.1:54321"));
    cr_expect(fake_journal_has("MESSAGE_ID=" MESSAGE_ID_CONNECTION));
    cr_expect(fake_journal_has("PRIORITY=6"));
    cr_expect(fake_journal_has("GREETD_LISTENER=web"));
    cr_expect(fake_journal_has("GREETD_CONNECTION=7"));
    cr_expect(fake_journal_has("GREETD_RESULT=partial"));
    cr_expect(fake_journal_has("GREETD_BYTES=18"));
    cr_expect(fake_journal_has("GREETD_BYTES_ACKED=11"));
    cr_expect(fake_journal_has("GREETD_DURATION_USEC=123"));
    cr_expect(fake_journal_has("GREETD_WORKER=3"));
    cr_expect_not(fake_journal_has_any("GREETD_REASON"));
}

struct refusal_row {
    enum refusal refusal;
    char id[40], reason[24], message[128];
};

ParameterizedTestParameters(entry, refusal_has_a_reason_and_an_id_of_its_own)
{
    static struct refusal_row rows[] = {
        {REFUSAL_NETWORK, MESSAGE_ID_REFUSED_NETWORK, "network", "its network is not allowed"},
        {REFUSAL_CONNECTIONS, MESSAGE_ID_REFUSED_CONNECTIONS, "connections",
         "its source has MaxConnectionsPerSource= connections already"},
        {REFUSAL_RATE, MESSAGE_ID_REFUSED_RATE, "rate",
         "its source connects more often than RateLimitPerSourceBurst= allows"},
        {REFUSAL_PROXY, MESSAGE_ID_REFUSED_PROXY, "proxy", ""},
    };

    strcpy(rows[3].message, proxy_error_text(PROXY_LATE));
    return cr_make_param_array(struct refusal_row, rows, ELEMENTSOF(rows));
}

ParameterizedTest(struct refusal_row *row, entry, refusal_has_a_reason_and_an_id_of_its_own)
{
    struct connection_record record = {
        .listener = "web",
        .peer = {.family = AF_INET, .port = 7},
        .result = RESULT_REFUSED,
        .refusal = row->refusal,
        .proxy_error = PROXY_LATE,
    };
    char field[256];

    entry_write_connection(&sink, 3, &record);
    cr_expect(fake_journal_has("GREETD_RESULT=refused"));
    snprintf(field, sizeof(field), "MESSAGE_ID=%s", row->id);
    cr_expect(fake_journal_has(field));
    snprintf(field, sizeof(field), "GREETD_REASON=%s", row->reason);
    cr_expect(fake_journal_has(field));
    snprintf(field, sizeof(field), "MESSAGE=Connection from 0.0.0.0:7 refused: %s", row->message);
    cr_expect(fake_journal_has(field), "%s", field);
}

Test(entry, connection_has_the_address_that_sent_its_proxy_header)
{
    struct connection_record record = {
        .listener = "web",
        .peer = {.family = AF_INET, .port = 7},
        .proxy = {.family = AF_INET, .port = 9, .in.s_addr = htonl(0x7f000001)},
    };

    entry_write_connection(&sink, 3, &record);
    cr_expect(fake_journal_has("GREETD_REMOTE_ADDR=0.0.0.0"));
    cr_expect(fake_journal_has("GREETD_PROXY_ADDR=127.0.0.1"));
    record.proxy.family = AF_UNSPEC;
    entry_write_connection(&sink, 3, &record);
    cr_expect_not(fake_journal_has_any("GREETD_PROXY_ADDR"));
}

Test(entry, connection_has_the_round_trip_time_if_it_is_known)
{
    struct connection_record record = {.listener = "web", .rtt_usec = 4294967295};

    entry_write_connection(&sink, 3, &record);
    cr_expect(fake_journal_has("GREETD_RTT_USEC=4294967295"));
    record.rtt_usec = 0;
    entry_write_connection(&sink, 3, &record);
    cr_expect_not(fake_journal_has_any("GREETD_RTT_USEC"));
}

struct peer_row {
    struct peer peer;
    char message[64];
    char fields[2][40];  /* fields of the entry */
    char without[2][24]; /* names that the entry does not have */
};

ParameterizedTestParameters(entry, connection_names_its_peer)
{
    static struct peer_row rows[] = {
        {.peer = {.family = AF_INET, .port = 7},
         .message = "MESSAGE=Connection from 0.0.0.0:7",
         .fields = {"GREETD_REMOTE_ADDR=0.0.0.0", "GREETD_REMOTE_PORT=7"},
         .without = {"GREETD_REMOTE_PID", "GREETD_REMOTE_UID"}},
        {.peer = {.family = AF_INET6, .port = 7},
         .message = "MESSAGE=Connection from [::]:7",
         .fields = {"GREETD_REMOTE_ADDR=::", "GREETD_REMOTE_PORT=7"},
         .without = {"GREETD_REMOTE_PID", "GREETD_REMOTE_UID"}},
        {.peer = {.family = AF_VSOCK, .vm = {.cid = 3, .port = 1024}},
         .message = "MESSAGE=Connection from vsock:3:1024",
         .fields = {"GREETD_REMOTE_ADDR=vsock:3", "GREETD_REMOTE_PORT=1024"},
         .without = {"GREETD_REMOTE_PID", "GREETD_REMOTE_UID"}},
        {.peer = {.family = AF_UNIX, .un = {.pid = 12, .uid = 1000}},
         .message = "MESSAGE=Connection from unix:pid=12,uid=1000",
         .fields = {"GREETD_REMOTE_PID=12", "GREETD_REMOTE_UID=1000"},
         .without = {"GREETD_REMOTE_PORT", "GREETD_REMOTE_PORT"}},
        {.peer = {.family = AF_UNIX, .un = {.pid = 12, .uid = 65534}},
         .message = "MESSAGE=Connection from unix:pid=12",
         .fields = {"GREETD_REMOTE_ADDR=unix", "GREETD_REMOTE_PID=12"},
         .without = {"GREETD_REMOTE_UID", "GREETD_REMOTE_PORT"}},
        {.peer = {.family = AF_UNIX, .un = {.pid = 0, .uid = 1000}},
         .message = "MESSAGE=Connection from unix:uid=1000",
         .fields = {"GREETD_REMOTE_ADDR=unix", "GREETD_REMOTE_UID=1000"},
         .without = {"GREETD_REMOTE_PID", "GREETD_REMOTE_PORT"}},
        {.peer = {.family = AF_UNIX, .un = {.pid = 0, .uid = 65534}},
         .message = "MESSAGE=Connection from unix",
         .fields = {"GREETD_REMOTE_ADDR=unix", "GREETD_WORKER=3"},
         .without = {"GREETD_REMOTE_PID", "GREETD_REMOTE_UID"}},
        {.peer = {.family = AF_UNSPEC},
         .message = "MESSAGE=Connection from unknown",
         .fields = {"GREETD_REMOTE_ADDR=unknown", "GREETD_WORKER=3"},
         .without = {"GREETD_REMOTE_PORT", "GREETD_REMOTE_UID"}},
    };
    return cr_make_param_array(struct peer_row, rows, ELEMENTSOF(rows));
}

ParameterizedTest(struct peer_row *row, entry, connection_names_its_peer, .init = set_up)
{
    write_connection(row->peer, RESULT_DELIVERED, REFUSAL_NONE);
    cr_expect(fake_journal_has(row->message), "%s", fake_journal.last);
    for (size_t i = 0; i < 2; i++) {
        cr_expect(fake_journal_has(row->fields[i]), "%s", row->fields[i]);
        cr_expect_not(fake_journal_has_any(row->without[i]), "%s", row->without[i]);
    }
}

Test(entry, accept_pause_names_the_error)
{
    entry_write_accept_paused(&sink, 3, EMFILE, clock_now());
    cr_expect(fake_journal_has("MESSAGE_ID=" MESSAGE_ID_ACCEPT_PAUSED));
    cr_expect(fake_journal_has("PRIORITY=4"));
    cr_expect(fake_journal_has("GREETD_WORKER=3"));
    cr_expect(strstr(fake_journal.last, strerrordesc_np(EMFILE)));
}

Test(entry, dropped_entries_have_their_number)
{
    entry_write_dropped(&sink, 4133);
    cr_expect(fake_journal_has("MESSAGE=4133 connection entries left out"));
    cr_expect(fake_journal_has("MESSAGE_ID=" MESSAGE_ID_ENTRIES_DROPPED));
    cr_expect(fake_journal_has("PRIORITY=5"));
    cr_expect(fake_journal_has("GREETD_LEFT_OUT=4133"));
}

Test(entry, message_names_its_listener)
{
    const struct sink_entry entry = {LOG_NOTICE, MESSAGE_ID_LISTENING, "Listening", .when_usec = 1};

    entry_write_message(&sink, "web", entry);
    cr_expect(fake_journal_has("MESSAGE=Listening"));
    cr_expect(fake_journal_has("PRIORITY=5"));
    cr_expect(fake_journal_has("GREETD_LISTENER=web"));
    entry_write_message(&sink, "", entry);
    cr_expect_not(fake_journal_has_any("GREETD_LISTENER"));
}
