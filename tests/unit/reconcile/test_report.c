/* SPDX-License-Identifier: MIT */
#include "reconcile/report.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "greetd/base/cleanup.h"
#include "support/pairs.h"

#define A "192.0.2.1"

static const struct log_summary log_of_two = {.n_entries = 3, .n_others = 1, .left_out = 0};

/* What PRINT prints of the N PAIRS; the caller frees it. */
static char *print(void (*print_report)(FILE *, const struct report *), const struct pair *pairs,
                   size_t n, const struct log_summary *log)
{
    const struct report report = report_make(pairs, n, log);
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);

    setenv("TZ", "UTC", 1);
    tzset();
    print_report(stream, &report);
    fclose(stream);
    return text;
}

static void expect_text(const struct pair *pairs, size_t n, const struct log_summary *log,
                        const char *expected)
{
    _cleanup_free_ char *text = print(report_print_text, pairs, n, log);

    cr_expect_str_eq(text, expected);
}

static void expect_json(const struct pair *pairs, size_t n, const struct log_summary *log,
                        const char *expected)
{
    _cleanup_free_ char *text = print(report_print_json, pairs, n, log);

    cr_expect_str_eq(text, expected);
}

Test(report, of_served_clients_is_their_number)
{
    const struct log_entry entries[] = {entry_of(A, 1, 1, RESULT_DELIVERED),
                                        entry_of(A, 2, 1, RESULT_DELIVERED)};
    struct pair pairs[] = {pair_of(A, 1, 0, 2, OUTCOME_OK), pair_of(A, 2, 0, 2, OUTCOME_OK)};

    pairs[0].entry = &entries[0];
    pairs[1].entry = &entries[1];
    expect_text(pairs, 2, &log_of_two,
                "2 served: the client has the whole greeting, and greetd says so\n"
                "2 receipts; 3 entries of connections, 1 of them of other clients; 0 entries were "
                "left out\n");
    expect_json(pairs, 2, &log_of_two,
                "{\"receipts\":2,\"entries\":3,\"others\":1,\"left_out\":0,\"verdicts\":{"
                "\"served\":2,\"unconfirmed\":0,\"unlogged\":0,\"unfinished\":0,\"wrong\":0,"
                "\"contradicted\":0,\"client\":0,\"network\":0,\"greetd\":0,\"refused\":0,"
                "\"unaccepted\":0,\"unknown\":0},\"examples\":[]}\n");
}

Test(report, shows_what_both_sides_say_of_a_bad_connection)
{
    struct log_entry refused = entry_of(A, 1, 1, RESULT_REFUSED);
    const struct log_entry unconfirmed = entry_of(A, 2, 1, RESULT_UNCONFIRMED);
    struct pair pairs[] = {pair_of(A, 1, 0, 2, OUTCOME_RESET), pair_of(A, 2, 0, 2, OUTCOME_RESET),
                           pair_of("unknown", 0, 0, 2, OUTCOME_REFUSED)};

    refused.reason = REFUSAL_RATE;
    refused.bytes = 0;
    pairs[0].entry = &refused;
    pairs[1].entry = &unconfirmed;
    pairs[2].receipt.number = 3;
    expect_text(
        pairs, 3, &log_of_two,
        "1 broken on the way: there was no route, or neither side has ended the connection before "
        "all had arrived\n"
        "    0, 192.0.2.1:2, 2026-11-26 12:00:00.000000: client reset, 0 bytes; greetd "
        "unconfirmed, 18 bytes, 0 acknowledged\n"
        "1 refused by greetd, for a reason\n"
        "    0, 192.0.2.1:1, 2026-11-26 12:00:00.000000: client reset, 0 bytes; greetd refused: "
        "rate, 0 bytes, 0 acknowledged\n"
        "1 broken before greetd: it has not accepted the client, or too late\n"
        "    3, 2026-11-26 12:00:00.000000: client refused, 0 bytes; greetd has no entry\n"
        "3 receipts; 3 entries of connections, 1 of them of other clients; 0 entries were left "
        "out\n");
    expect_json(
        pairs, 3, &log_of_two,
        "{\"receipts\":3,\"entries\":3,\"others\":1,\"left_out\":0,\"verdicts\":{\"served\":0,"
        "\"unconfirmed\":0,\"unlogged\":0,\"unfinished\":0,\"wrong\":0,\"contradicted\":0,"
        "\"client\":0,\"network\":1,\"greetd\":0,\"refused\":1,\"unaccepted\":1,\"unknown\":0},"
        "\"examples\":["
        "{\"verdict\":\"refused\",\"number\":0,\"address\":\"192.0.2.1:1\",\"connect_usec\":"
        "1795694400000000,\"end\":\"reset\",\"bytes\":0,\"greetd\":{\"result\":\"refused\","
        "\"reason\":\"rate\",\"bytes\":0,\"acknowledged\":0}},"
        "{\"verdict\":\"network\",\"number\":0,\"address\":\"192.0.2.1:2\",\"connect_usec\":"
        "1795694400000000,\"end\":\"reset\",\"bytes\":0,\"greetd\":{\"result\":\"unconfirmed\","
        "\"bytes\":18,\"acknowledged\":0}},"
        "{\"verdict\":\"unaccepted\",\"number\":3,\"address\":\"unknown\",\"connect_usec\":"
        "1795694400000000,\"end\":\"refused\",\"bytes\":0}]}\n");
}

static size_t count(const char *text, const char *part)
{
    size_t n = 0;

    for (const char *found = text; (found = strstr(found, part)); found++)
        n++;
    return n;
}

Test(report, shows_the_first_few_of_each_bad_verdict)
{
    struct pair pairs[20];

    for (size_t i = 0; i < ELEMENTSOF(pairs); i++)
        pairs[i] = pair_of(A, (uint32_t)i, 0, 2, i % 2 ? OUTCOME_REFUSED : OUTCOME_NO_PORT);
    _cleanup_free_ char *text = print(report_print_text, pairs, ELEMENTSOF(pairs), &log_of_two);
    _cleanup_free_ char *json = print(report_print_json, pairs, ELEMENTSOF(pairs), &log_of_two);
    cr_expect_eq(count(text, "client refused"), REPORT_EXAMPLES, "%s", text);
    cr_expect_eq(count(text, "client no_port"), REPORT_EXAMPLES, "%s", text);
    cr_expect_eq(count(json, "\"end\":\"refused\""), REPORT_EXAMPLES, "%s", json);
    cr_expect_eq(count(json, "\"end\":\"no_port\""), REPORT_EXAMPLES, "%s", json);
    cr_expect_not_null(strstr(text, "192.0.2.1:9,"));
    cr_expect_null(strstr(text, "192.0.2.1:11,"));
}

Test(report, shows_any_time)
{
    struct pair pair = pair_of(A, 1, 0, 2, OUTCOME_REFUSED);

    pair.receipt.connect_usec = UINT64_MAX;
    _cleanup_free_ char *text = print(report_print_text, &pair, 1, &log_of_two);
    cr_expect_not_null(strstr(text, "192.0.2.1:1, 586524-01-19 08:01:49.551615: client"), "%s",
                       text);
}
