/* SPDX-License-Identifier: MIT */
#pragma once

/* What a stream looks like if a person reads it on a terminal: colors, columns, block characters.
 * Streams are borrowed. Only the main thread prints. */

#include <stdbool.h>
#include <stdio.h>

/* What a reader should see first. */
enum terminal_style {
    TERMINAL_PLAIN, /* ends the others */
    TERMINAL_ERROR,
    TERMINAL_WARNING,
    TERMINAL_GOOD,
    TERMINAL_STRONG,
};

/* Returns whether STREAM is a terminal with control sequences: $TERM is set, and not `dumb`. */
bool terminal_has_controls(FILE *stream);

/* Returns the control sequence that begins STYLE on STREAM. It is empty unless STREAM has controls
 * and $NO_COLOR is empty or not set (no-color.org). */
const char *terminal_style(FILE *stream, enum terminal_style style);

/* Returns the columns of the terminal STREAM, 80 if it does not know them, or 0 if STREAM is not a
 * terminal. */
unsigned terminal_columns(FILE *stream);

/* Returns whether the character set of the user's locale is UTF-8. */
bool terminal_has_utf8(void);

/* Prints `PROGRAM: ` to stderr, where the text of an error follows. */
void terminal_print_program(const char *program);

/* Prints TEXT of SIZE bytes, such as the name of a file. Control characters, which could
 * forge a line or move the cursor, and invalid bytes are printed as `\xHH`. */
void terminal_print_text(FILE *stream, const char *text, size_t size);

/* Prints LINE, as diagnostics have them, and a newline to stderr. Its place, up to the first `: `,
 * is in STYLE. */
void terminal_print_diagnostic(enum terminal_style style, const char *line);
