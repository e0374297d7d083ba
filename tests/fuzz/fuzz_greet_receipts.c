/* SPDX-License-Identifier: MIT */

/* Receipts and journal entries that greet --reconcile reads: lines up to an empty one are receipts,
 * the others are entries. What is an error has a reason that may be shown. A receipt is the same
 * when it is written and read again, each entry is joined once at most, and every connection has
 * one verdict, which is in both reports. */

#include <errno.h>

#include "fuzz.h"
#include "fuzz_text.h"
#include "greetd/base/cleanup.h"
#include "reconcile/report.h"

#define ITEMS_MAX 64

struct items {
    struct pair pairs[ITEMS_MAX];
    size_t n;
    struct log_entry entries[ITEMS_MAX];
    struct log_summary log;
};

static bool is_same_peer(const struct peer *a, const struct peer *b)
{
    char left[ADDRESS_TEXT_MAX], right[ADDRESS_TEXT_MAX];

    return strcmp(peer_format(a, left), peer_format(b, right)) == 0;
}

static void check_error(const char *error)
{
    PROPERTY(memchr(error, '\0', JSON_ERROR_MAX) && error[0] != '\0' && fuzz_is_printable(error));
}

/* Writes RECEIPT and reads it again. */
static void check_again(const struct receipt *receipt)
{
    char line[RECEIPT_MAX], error[JSON_ERROR_MAX];
    size_t size = receipt_format(line, receipt, "/\\x07\"");
    struct receipt again;

    PROPERTY(size < sizeof(line) && strlen(line) == size && line[size - 1] == '\n');
    PROPERTY(receipt_parse(&again, line, size, error) == 0);
    PROPERTY(is_same_peer(&again.client, &receipt->client));
    PROPERTY(is_same_peer(&again.proxy, &receipt->proxy));
    PROPERTY(again.number == receipt->number && again.bytes == receipt->bytes);
    PROPERTY(again.connect_usec == receipt->connect_usec && again.end_usec == receipt->end_usec);
    PROPERTY(again.end == receipt->end);
}

static void take_receipt(struct items *items, const char *line)
{
    char error[JSON_ERROR_MAX] = "";
    struct pair pair = {0};

    int r = receipt_parse(&pair.receipt, line, strlen(line), error);
    PROPERTY(r == 0 || r == -EINVAL);
    if (r < 0) {
        check_error(error);
        return;
    }
    PROPERTY(pair.receipt.end <= RECEIPT_UNFINISHED);
    check_again(&pair.receipt);
    if (items->n < ITEMS_MAX)
        items->pairs[items->n++] = pair;
}

static void take_entry(struct items *items, const char *line)
{
    char error[JSON_ERROR_MAX] = "";
    struct log_entry entry;

    int r = log_entry_parse(&entry, line, strlen(line), error);
    PROPERTY(r == 0 || r == -EINVAL);
    if (r < 0) {
        check_error(error);
        return;
    }
    PROPERTY(entry.kind == LOG_ENTRY_LEFT_OUT || entry.left_out == 0);
    if (entry.kind == LOG_ENTRY_LEFT_OUT)
        items->log.left_out = entry.left_out;
    if (entry.kind != LOG_ENTRY_CONNECTION)
        return;
    PROPERTY(entry.result < RESULT_N && entry.reason < REFUSAL_N);
    PROPERTY(entry.accepted_usec <= entry.ended_usec);
    if (items->log.n_entries < ITEMS_MAX)
        items->entries[items->log.n_entries++] = entry;
}

static void check_join(struct items *items)
{
    size_t joined = 0;

    int64_t others = join(items->pairs, items->n, items->entries, items->log.n_entries);
    PROPERTY(others >= 0);
    for (size_t i = 0; i < items->n; i++) {
        if (!items->pairs[i].entry)
            continue;
        joined++;
        for (size_t j = 0; j < i; j++)
            PROPERTY(items->pairs[i].entry != items->pairs[j].entry);
    }
    PROPERTY(joined + (size_t)others == items->log.n_entries);
    items->log.n_others = (uint64_t)others;
}

/* Whether a client that is said to be served has the whole greeting, and no other is. */
static void check_verdict(const struct pair *pair, enum verdict verdict)
{
    bool served =
        verdict == VERDICT_SERVED || verdict == VERDICT_UNCONFIRMED || verdict == VERDICT_UNLOGGED;

    PROPERTY(verdict < VERDICTS);
    PROPERTY(!served || pair->receipt.end == OUTCOME_OK);
    PROPERTY(served || verdict == VERDICT_CONTRADICTED || pair->receipt.end != OUTCOME_OK);
    PROPERTY(pair->entry || verdict != VERDICT_REFUSED);
}

/* Prints what PRINT does, and checks its lines. */
static void check_report(const struct report *report,
                         void (*print)(FILE *stream, const struct report *report))
{
    _cleanup_free_ char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);

    PROPERTY(stream);
    print(stream, report);
    PROPERTY(fclose(stream) == 0 && size > 0 && text[size - 1] == '\n');
    for (size_t i = 0; i < size; i++)
        text[i] = text[i] == '\n' ? ' ' : text[i];
    PROPERTY(fuzz_is_printable(text));
}

static void check_json(const struct report *report)
{
    struct json_member member = {.name = "receipts"};
    _cleanup_free_ char *text = NULL;
    char error[JSON_ERROR_MAX];
    size_t size;
    FILE *stream = open_memstream(&text, &size);

    PROPERTY(stream);
    report_print_json(stream, report);
    PROPERTY(fclose(stream) == 0);
    PROPERTY(json_read_object(&member, 1, text, size, error) == 0 && member.taken);
    PROPERTY(strtoul(member.text, NULL, 10) == report->n);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct fuzz_input input = {bytes, size};
    struct items items = {0};
    bool in_receipts = true;
    uint64_t sum = 0;

    while (input.size > 0) {
        _cleanup_free_ char *line = fuzz_take_text(&input, '\n');

        if (in_receipts && line[0] == '\0')
            in_receipts = false;
        else if (in_receipts)
            take_receipt(&items, line);
        else
            take_entry(&items, line);
    }
    check_join(&items);
    const struct report report = report_make(items.pairs, items.n, &items.log);
    for (size_t i = 0; i < items.n; i++)
        check_verdict(&items.pairs[i], verdict_of(&items.pairs[i], &items.log));
    for (enum verdict i = 0; i < VERDICTS; i++)
        sum += report.counts[i];
    PROPERTY(sum == items.n);
    PROPERTY(verdict_exit_status(report.counts, &report.log) <= EXIT_STATUS_LOST);
    check_report(&report, report_print_text);
    check_report(&report, report_print_json);
    check_json(&report);
    return 0;
}
