/* SPDX-License-Identifier: MIT */
#pragma once

/* The report on a comparison of receipts with the journal. All is borrowed. */

#include <stdio.h>

#include "reconcile/join.h"
#include "reconcile/verdict.h"

/* Connections that are shown of each bad verdict. */
#define REPORT_EXAMPLES 5

struct report {
    const struct pair *pairs;
    size_t n;
    struct log_summary log;
    uint64_t counts[VERDICTS];
};

/* Counts the verdicts on the N PAIRS. */
struct report report_make(const struct pair *pairs, size_t n, const struct log_summary *log);

/* Prints REPORT for people: a line for each verdict, below it the first connections of a bad one,
 * and what the journal has besides. */
void report_print_text(FILE *stream, const struct report *report);

/* Prints REPORT as one JSON object and a newline. */
void report_print_json(FILE *stream, const struct report *report);
