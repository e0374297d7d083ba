/* SPDX-License-Identifier: MIT */
#pragma once

/* A list of errors, each a line with its place and its reason. A function that can find more than
 * one error adds each and continues; its caller owns the list, and prints or logs it. Adding never
 * fails: an error for which there is no memory is still counted, so that it can't pass for success.
 */

#include <stddef.h>

#include "greetd/base/cleanup.h"

struct diagnostics {
    char **lines; /* owned; n_lines of them */
    size_t n_lines;
    size_t n_errors; /* all that were added; more than n_lines only if memory ran out */
};

#define DIAGNOSTICS_NULL ((struct diagnostics){0})

/* Frees the lines and leaves the list empty. */
void diagnostics_deinit(struct diagnostics *diagnostics);

/* Adds one error. The text is formatted as by printf(3), without a newline at its end. */
void diagnostics_add(struct diagnostics *diagnostics, const char *format, ...) _printf_(2, 3);
