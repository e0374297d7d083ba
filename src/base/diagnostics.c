/* SPDX-License-Identifier: MIT */
#include "greetd/base/diagnostics.h"

#include <stdarg.h>
#include <stdio.h>

void report_deinit(struct report *report)
{
    for (size_t i = 0; i < report->n_lines; i++)
        free(report->lines[i]);
    free(report->lines);
    *report = REPORT_NULL;
}

void report_add(struct report *report, const char *format, ...)
{
    _cleanup_free_ char *line = NULL;
    va_list arguments;

    report->n_mistakes++;

    va_start(arguments, format);
    int r = vasprintf(&line, format, arguments);
    va_end(arguments);
    if (r < 0) {
        line = NULL;
        return;
    }

    char **lines = reallocarray(report->lines, report->n_lines + 1, sizeof(*lines));
    if (!lines)
        return;
    report->lines = lines;
    report->lines[report->n_lines++] = TAKE_PTR(line);
}
