/* SPDX-License-Identifier: MIT */
#pragma once

/* A list of mistakes, each a sentence that says what and where. Functions that can find more than
 * one add to it and go on; whoever called them prints or logs the list. It never fails: what can't
 * be stored for want of memory is still counted, so that a mistake is never taken for success. */

#include <stddef.h>

#include "greetd/base/cleanup.h"

struct report {
    char **lines; /* owned; n_lines of them */
    size_t n_lines;
    size_t n_mistakes; /* all that were reported; more than n_lines only when memory ran out */
};

#define REPORT_NULL ((struct report){0})

/* Frees what the report owns and leaves it empty. */
void report_deinit(struct report *report);

/* Adds one mistake. The text is formatted as by printf(3), without a newline at its end. */
void report_add(struct report *report, const char *format, ...) _printf_(2, 3);
