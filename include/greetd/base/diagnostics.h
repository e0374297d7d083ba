/* SPDX-License-Identifier: MIT */
#pragma once

/* A list of mistakes, each a sentence that says what and where. Functions that can find more than
 * one add to it and go on; whoever called them prints or logs the list. It never fails: what can't
 * be stored for want of memory is still counted, so that a mistake is never taken for success. */

#include <stddef.h>

#include "greetd/base/cleanup.h"

struct diagnostics {
    char **lines; /* owned; n_lines of them */
    size_t n_lines;
    size_t n_errors; /* all that were reported; more than n_lines only when memory ran out */
};

#define DIAGNOSTICS_NULL ((struct diagnostics){0})

/* Frees what the report owns and leaves it empty. */
void diagnostics_deinit(struct diagnostics *diagnostics);

/* Adds one mistake. The text is formatted as by printf(3), without a newline at its end. */
void diagnostics_add(struct diagnostics *diagnostics, const char *format, ...) _printf_(2, 3);
