/* SPDX-License-Identifier: MIT */
#include "greetd/greeting/template_errors.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "greetd/base/text.h"
#include "greetd/greeting/greeting.h"

/* Errors beyond this number are only counted. */
#define ERRORS_MAX ((size_t)100)

struct template_errors template_errors_in(const char *text, const char *path, const char *origin,
                                          const char *label, struct diagnostics *diagnostics)
{
    return (struct template_errors){.origin = origin,
                                    .label = label,
                                    .path = path,
                                    .diagnostics = diagnostics,
                                    .line = text,
                                    .line_number = 1};
}

/* Empty for a text that is not in a file. */
static const char *excerpt_path(const struct template_errors *errors, char *buffer)
{
    return text_excerpt(errors->path ? errors->path : "", buffer);
}

/* Advances to the line that AT is in, and writes its number as `:LINE`. A text that is not in a
 * file counts as one line, without a number. */
static void enter_line(struct template_errors *errors, const char *at, char *buffer)
{
    const char *end;

    buffer[0] = '\0';
    if (!errors->path)
        return;
    while ((end = memchr(errors->line, '\n', (size_t)(at - errors->line)))) {
        errors->line = end + 1;
        errors->line_number++;
    }
    sprintf(buffer, ":%zu", errors->line_number);
}

void template_errors_add(struct template_errors *errors, const char *at, const char *what,
                         const char *hint)
{
    char path[TEXT_EXCERPT_MAX], number[sizeof(":18446744073709551615")];

    if (++errors->n > ERRORS_MAX)
        return;
    enter_line(errors, at, number);
    diagnostics_add(errors->diagnostics, "%s: %s=%s%s: %s at byte %zu%s%s", errors->origin,
                    errors->label, excerpt_path(errors, path), number, what,
                    (size_t)(at - errors->line) + 1, hint ? "; " : "", hint ? hint : "");
}

/* Quotes the escape: \xHH as far as it goes, or else a backslash and one character, which in UTF-8
 * may be several bytes. */
void template_errors_add_escape(struct template_errors *errors, const char *escape, const char *why)
{
    size_t length = strnlen(escape, 2), longest = escape[1] == 'x' ? 4 : 5;
    char copy[5 + 1] = "", excerpt[TEXT_EXCERPT_MAX], what[TEXT_EXCERPT_MAX + 16];

    while (length < longest && escape[length] != '\0' &&
           (escape[1] == 'x' || (escape[length] & 0xc0) == 0x80))
        length++;
    memcpy(copy, escape, length);
    snprintf(what, sizeof(what), "bad escape %s", text_excerpt(copy, excerpt));
    template_errors_add(errors, escape, what, why);
}

void template_errors_add_unknown(struct template_errors *errors, const char *at,
                                 const char *variable, size_t length)
{
    char name[TEXT_EXCERPT_MAX], what[TEXT_EXCERPT_MAX + 32], hint[64];

    /* A search for the nearest names of millions would take seconds. */
    if (errors->n >= ERRORS_MAX) {
        errors->n++;
        return;
    }
    snprintf(name, sizeof(name), "%.*s", (int)length, variable);
    snprintf(what, sizeof(what), "unknown variable $%s", name);
    const char *nearest = variable_nearest(name);
    if (nearest)
        snprintf(hint, sizeof(hint), "did you mean $%s?", nearest);
    template_errors_add(errors, at, what, nearest ? hint : NULL);
}

void template_errors_add_argument(struct template_errors *errors, const char *at,
                                  const char *problem, const struct variable *variable,
                                  const char *why)
{
    char what[96], hint[96];

    snprintf(what, sizeof(what), "%s argument of $%s", problem, variable->name);
    snprintf(hint, sizeof(hint), "it is written as $%s{%s}", variable->name, variable->argument);
    template_errors_add(errors, at, what, why ? why : hint);
}

void template_errors_remark(struct template_errors *errors, const char *text, size_t size,
                            struct diagnostics *remarks)
{
    char path[TEXT_EXCERPT_MAX], number[sizeof(":18446744073709551615")];

    enter_line(errors, text, number);
    diagnostics_add(
        remarks,
        "%s: %s=%s%s: remark: an entry of %zu bytes is longer than the 512 that RFC 865 "
        "recommends",
        errors->origin, errors->label, excerpt_path(errors, path), number, size);
}

int template_errors_end(const struct template_errors *errors, int r)
{
    char path[TEXT_EXCERPT_MAX];

    if (errors->n > ERRORS_MAX)
        diagnostics_add(errors->diagnostics, "%s: %s=%s: %zu more mistakes of this kind",
                        errors->origin, errors->label, excerpt_path(errors, path),
                        errors->n - ERRORS_MAX);
    if (r == -EFBIG)
        diagnostics_add(errors->diagnostics, "%s: %s=%s: must not be longer than %zu bytes",
                        errors->origin, errors->label, excerpt_path(errors, path),
                        GREETING_SIZE_MAX);
    return r;
}
