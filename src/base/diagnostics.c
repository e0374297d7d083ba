/* SPDX-License-Identifier: MIT */
#include "greetd/base/diagnostics.h"

#include <stdarg.h>
#include <stdio.h>

void diagnostics_deinit(struct diagnostics *diagnostics)
{
    for (size_t i = 0; i < diagnostics->n_lines; i++)
        free(diagnostics->lines[i]);
    free(diagnostics->lines);
    *diagnostics = DIAGNOSTICS_NULL;
}

void diagnostics_add(struct diagnostics *diagnostics, const char *format, ...)
{
    _cleanup_free_ char *line = NULL;
    va_list arguments;

    diagnostics->n_errors++;

    va_start(arguments, format);
    int r = vasprintf(&line, format, arguments);
    va_end(arguments);
    if (r < 0) {
        line = NULL;
        return;
    }

    char **lines = reallocarray(diagnostics->lines, diagnostics->n_lines + 1, sizeof(*lines));
    if (!lines)
        return;
    diagnostics->lines = lines;
    diagnostics->lines[diagnostics->n_lines++] = TAKE_PTR(line);
}
