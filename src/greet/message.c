/* SPDX-License-Identifier: MIT */
#include "greet/message.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void message(const char *format, ...)
{
    va_list list;

    fputs("greet: ", stderr);
    va_start(list, format);
    vfprintf(stderr, format, list);
    va_end(list);
    fputs("\n", stderr);
}

void message_report(const struct diagnostics *diagnostics)
{
    for (size_t i = 0; i < diagnostics->n_lines; i++)
        message("%s", diagnostics->lines[i]);
    if (diagnostics->n_lines < diagnostics->n_errors)
        message("out of memory");
}

int message_compile(struct greeting **ret, const char *text, const char *label)
{
    const char *why;
    size_t offset;

    int r = greeting_new_from_text(ret, text, &why, &offset);
    if (r == -EINVAL)
        message("%s: bad escape at byte %zu; %s", label, offset + 1, why);
    else if (r < 0)
        message("%s: %s", label, strerror(-r));
    return r;
}
