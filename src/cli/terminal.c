/* SPDX-License-Identifier: MIT */
#include "greetd/cli/terminal.h"

#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "greetd/base/text.h"

#define COLUMNS_DEFAULT 80

bool terminal_has_controls(FILE *stream)
{
    const char *term = getenv("TERM");

    return term && term[0] != '\0' && strcmp(term, "dumb") != 0 && isatty(fileno(stream));
}

static bool has_color(FILE *stream)
{
    const char *no_color = getenv("NO_COLOR");

    return (!no_color || no_color[0] == '\0') && terminal_has_controls(stream);
}

const char *terminal_style(FILE *stream, enum terminal_style style)
{
    /* ECMA-48, Select Graphic Rendition. The colors are those of the user's palette. */
    static const char *const sequences[] = {
        [TERMINAL_PLAIN] = "\033[0m",      [TERMINAL_ERROR] = "\033[1;31m",
        [TERMINAL_WARNING] = "\033[1;33m", [TERMINAL_GOOD] = "\033[32m",
        [TERMINAL_STRONG] = "\033[1m",
    };

    return has_color(stream) ? sequences[style] : "";
}

unsigned terminal_columns(FILE *stream)
{
    struct winsize size = {0};

    if (!isatty(fileno(stream)))
        return 0;
    (void)ioctl(fileno(stream), TIOCGWINSZ, &size);
    return size.ws_col > 0 ? size.ws_col : COLUMNS_DEFAULT;
}

bool terminal_has_utf8(void)
{
    locale_t locale = newlocale(LC_CTYPE_MASK, "", (locale_t)0);

    if (!locale)
        return false;
    bool utf8 = strcmp(nl_langinfo_l(CODESET, locale), "UTF-8") == 0;
    freelocale(locale);
    return utf8;
}

void terminal_print_program(const char *program)
{
    fprintf(stderr, "%s%s:%s ", terminal_style(stderr, TERMINAL_ERROR), program,
            terminal_style(stderr, TERMINAL_PLAIN));
}

/* Returns the length of the text without control characters that begins at TEXT. */
static size_t printable(const char *text, const char *end)
{
    const char *p = text;
    size_t length;

    while (p < end && (length = text_printable_length(p)) > 0)
        p += length;
    return (size_t)(p - text);
}

void terminal_print_text(FILE *stream, const char *text, size_t size)
{
    for (const char *end = text + size; text < end; text++) {
        size_t length = printable(text, end);

        fwrite(text, 1, length, stream);
        text += length;
        if (text < end)
            fprintf(stream, "\\x%02x", (unsigned char)*text);
    }
}

void terminal_print_diagnostic(enum terminal_style style, const char *line)
{
    const char *end = strstr(line, ": ");
    size_t length = end ? (size_t)(end + 1 - line) : 0;

    fputs(terminal_style(stderr, style), stderr);
    terminal_print_text(stderr, line, length);
    fputs(terminal_style(stderr, TERMINAL_PLAIN), stderr);
    terminal_print_text(stderr, line + length, strlen(line + length));
    fputs("\n", stderr);
}
