/* SPDX-License-Identifier: MIT */
#pragma once

/* What greet says to a person on stderr. */

#include "greetd/base/cleanup.h"
#include "greetd/base/diagnostics.h"
#include "greetd/greeting/greeting.h"

/* Says a sentence, formatted as by printf(3). */
void message(const char *format, ...) _printf_(1, 2);

/* Says all lines of a report. */
void message_report(const struct diagnostics *diagnostics);

/* Compiles TEXT, the argument of the option LABEL, as greeting_new_from_text() does, and says what
 * is wrong with it. Returns 0, with *RET the caller's, or a negative errno. */
int message_compile(struct greeting **ret, const char *text, const char *label);
