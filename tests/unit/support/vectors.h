/* SPDX-License-Identifier: MIT */
#pragma once

/* The tables of tests/vectors: lines with columns between tabs; # begins a comment. */

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define VECTOR_COLUMNS 8

/* Reads the next line of FILE that is no comment, of up to SIZE bytes, into LINE, and splits it
 * into COLUMNS, of which the last ones may be missing and are "". Returns whether there was one. */
static inline bool vectors_next(FILE *file, char *line, size_t size,
                                const char *columns[VECTOR_COLUMNS])
{
    do
        if (!fgets(line, (int)size, file))
            return false;
    while (line[0] == '#');

    char *end = strchr(line, '\n');
    cr_assert_neq(end, NULL, "too long: %s", line);
    *end = '\0';
    for (size_t i = 0; i < VECTOR_COLUMNS; i++)
        columns[i] = line ? strsep(&line, "\t") : "";
    cr_assert_eq(line, NULL, "too many columns");
    return true;
}

/* Opens the table NAME. */
static inline FILE *vectors_open(const char *name)
{
    char path[512];

    snprintf(path, sizeof(path), GREETD_VECTORS "/%s.tsv", name);
    FILE *file = fopen(path, "re");
    cr_assert_neq(file, NULL, "%s", path);
    return file;
}

/* Reads the bytes of TEXT, which is in quotes, to BUFFER (SIZE bytes), with a '\0' behind them, and
 * returns their number. *RET_END is set behind the quote. Of the escapes it knows \\ \" \t \v \r
 * and \n. */
static inline size_t vectors_unquote(const char *text, char *buffer, size_t size,
                                     const char **ret_end)
{
    static const char escapes[] = "\\\"tvrn", escaped[] = "\\\"\t\v\r\n";
    size_t n = 0;

    cr_assert_eq(*text++, '"');
    for (; *text != '"'; text++) {
        const char *escape = NULL;

        cr_assert(*text != '\0' && n + 1 < size, "no end of: %s", text);
        if (*text == '\\') {
            escape = strchr(escapes, *++text);
            cr_assert(escape && *text != '\0', "unknown escape: %s", text);
        }
        buffer[n++] = escape ? escaped[escape - escapes] : *text;
    }
    buffer[n] = '\0';
    *ret_end = text + 1;
    return n;
}
