/* SPDX-License-Identifier: MIT */
#include "reconcile/report.h"

#include <inttypes.h>
#include <time.h>

#include "client/output.h"
#include "greetd/base/clock.h"
#include "greetd/cli/terminal.h"

struct report report_make(const struct pair *pairs, size_t n, const struct log_summary *log)
{
    struct report report = {.pairs = pairs, .n = n, .log = *log};

    for (size_t i = 0; i < n; i++)
        report.counts[verdict_of(&pairs[i], log)]++;
    return report;
}

/* Prints a time of CLOCK_REALTIME, as local time. */
static void print_time(FILE *stream, uint64_t usec)
{
    time_t seconds = (time_t)(usec / USEC_PER_SEC);
    char text[sizeof("586524-12-31 23:59:60")]; /* of UINT64_MAX */
    struct tm local;

    (void)strftime(text, sizeof(text), "%F %T", localtime_r(&seconds, &local));
    fprintf(stream, "%s.%06" PRIu64, text, usec % USEC_PER_SEC);
}

static void print_pair(FILE *stream, const struct pair *pair)
{
    const struct receipt *receipt = &pair->receipt;
    const struct log_entry *entry = pair->entry;

    fprintf(stream, "    %" PRIu64 ", ", receipt->number);
    if (receipt->client.family != AF_UNSPEC) {
        char address[ADDRESS_TEXT_MAX];

        fprintf(stream, "%s, ", peer_format(&receipt->client, address));
    }
    print_time(stream, receipt->connect_usec);
    fprintf(stream, ": client %s, %" PRIu64 " bytes", receipt_end_name(receipt->end),
            receipt->bytes);
    if (!entry)
        fputs("; greetd has no entry\n", stream);
    else
        fprintf(stream, "; greetd %s%s%s, %" PRIu64 " bytes, %" PRIu64 " acknowledged\n",
                result_name(entry->result), entry->reason != REFUSAL_NONE ? ": " : "",
                entry->reason != REFUSAL_NONE ? refusal_name(entry->reason) : "", entry->bytes,
                entry->bytes_acked);
}

/* Prints the first connections with VERDICT, if it is a bad one. */
static void print_examples(FILE *stream, const struct report *report, enum verdict verdict)
{
    unsigned n = 0;

    if (!verdict_is_bad(verdict))
        return;
    for (size_t i = 0; i < report->n && n < REPORT_EXAMPLES; i++)
        if (verdict_of(&report->pairs[i], &report->log) == verdict) {
            print_pair(stream, &report->pairs[i]);
            n++;
        }
}

void report_print_text(FILE *stream, const struct report *report)
{
    const struct log_summary *log = &report->log;

    for (enum verdict i = 0; i < VERDICTS; i++) {
        if (report->counts[i] == 0)
            continue;
        fprintf(stream, "%s%" PRIu64 "%s %s\n",
                terminal_style(stream, verdict_is_bad(i) ? TERMINAL_ERROR : TERMINAL_GOOD),
                report->counts[i], terminal_style(stream, TERMINAL_PLAIN), verdict_text(i));
        print_examples(stream, report, i);
    }
    fprintf(stream,
            "%zu receipts; %" PRIu64 " entries of connections, %" PRIu64
            " of them of other clients; %" PRIu64 " entries were left out\n",
            report->n, log->n_entries, log->n_others, log->left_out);
}

static void print_pair_json(FILE *stream, const struct pair *pair)
{
    const struct log_entry *entry = pair->entry;
    char address[ADDRESS_TEXT_MAX];

    fprintf(stream, "\"number\":%" PRIu64 ",\"address\":", pair->receipt.number);
    output_json_string(stream, peer_format(&pair->receipt.client, address));
    fprintf(stream, ",\"connect_usec\":%" PRIu64 ",\"end\":\"%s\",\"bytes\":%" PRIu64,
            pair->receipt.connect_usec, receipt_end_name(pair->receipt.end), pair->receipt.bytes);
    if (!entry)
        return;
    fprintf(stream, ",\"greetd\":{\"result\":\"%s\",", result_name(entry->result));
    if (entry->reason != REFUSAL_NONE)
        fprintf(stream, "\"reason\":\"%s\",", refusal_name(entry->reason));
    fprintf(stream, "\"bytes\":%" PRIu64 ",\"acknowledged\":%" PRIu64 "}", entry->bytes,
            entry->bytes_acked);
}

static void print_examples_json(FILE *stream, const struct report *report)
{
    const char *separator = "";
    uint64_t shown[VERDICTS] = {0};

    for (size_t i = 0; i < report->n; i++) {
        enum verdict verdict = verdict_of(&report->pairs[i], &report->log);

        if (!verdict_is_bad(verdict) || shown[verdict]++ >= REPORT_EXAMPLES)
            continue;
        fprintf(stream, "%s{\"verdict\":\"%s\",", separator, verdict_name(verdict));
        print_pair_json(stream, &report->pairs[i]);
        fputs("}", stream);
        separator = ",";
    }
}

void report_print_json(FILE *stream, const struct report *report)
{
    const struct log_summary *log = &report->log;

    fprintf(stream,
            "{\"receipts\":%zu,\"entries\":%" PRIu64 ",\"others\":%" PRIu64 ",\"left_out\":%" PRIu64
            ",\"verdicts\":{",
            report->n, log->n_entries, log->n_others, log->left_out);
    for (enum verdict i = 0; i < VERDICTS; i++)
        fprintf(stream, "%s\"%s\":%" PRIu64, i > 0 ? "," : "", verdict_name(i), report->counts[i]);
    fputs("},\"examples\":[", stream);
    print_examples_json(stream, report);
    fputs("]}\n", stream);
}
