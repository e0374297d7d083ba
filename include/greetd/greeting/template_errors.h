/* SPDX-License-Identifier: MIT */
#pragma once

/* The errors of one text with escapes and variables, added to the caller's diagnostics with the
 * line and the byte of each. Beyond 100 they are only counted: a file that was never meant to be
 * expanded may have millions. Owns nothing; pure. */

#include <stddef.h>

#include "greetd/base/diagnostics.h"
#include "greetd/greeting/variable.h"

/* They are added in the order in which they stand in the text. */
struct template_errors {
    const char *origin, *label;      /* as in the messages: `ORIGIN: LABEL=` */
    const char *path;                /* of the file that LABEL names, or NULL */
    struct diagnostics *diagnostics; /* NULL if no error can be added */
    const char *line;                /* the one with the last error that was added */
    size_t line_number;              /* from 1 */
    size_t n;                        /* including those that were only counted */
    size_t n_units;                  /* the units in the text so far, for their limit */
};

/* Begins a list of the errors in TEXT. All pointers are borrowed. */
struct template_errors template_errors_in(const char *text, const char *path, const char *origin,
                                          const char *label, struct diagnostics *diagnostics);

/* Adds the error WHAT at the character AT. HINT may be NULL. */
void template_errors_add(struct template_errors *errors, const char *at, const char *what,
                         const char *hint);

/* Adds the bad escape at ESCAPE, with the reason WHY. */
void template_errors_add_escape(struct template_errors *errors, const char *escape,
                                const char *why);

/* Adds, at the character AT, the unknown variable whose name is the LENGTH bytes at VARIABLE. */
void template_errors_add_unknown(struct template_errors *errors, const char *at,
                                 const char *variable, size_t length);

/* Adds, at the character AT, that PROBLEM is with the argument of VARIABLE. WHY is the reason;
 * NULL: how the variable is written. */
void template_errors_add_argument(struct template_errors *errors, const char *at,
                                  const char *problem, const struct variable *variable,
                                  const char *why);

/* Adds to REMARKS that the entry of SIZE bytes at TEXT is longer than recommended. */
void template_errors_remark(struct template_errors *errors, const char *text, size_t size,
                            struct diagnostics *remarks);

/* Adds the number of errors that were only counted, and -EFBIG if it is the result R. Returns R. */
int template_errors_end(const struct template_errors *errors, int r);
