/* SPDX-License-Identifier: MIT */
#include "greetd/config/ini.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "greetd/base/text.h"

/* One line of the file, without its end. */
struct line {
    const char *text;
    size_t length;
};

static bool is_line_end(char c)
{
    return c == '\n' || c == '\r';
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Strips a string in place. */
static char *strip_string(char *string)
{
    size_t length;

    while (is_blank(*string))
        string++;
    length = strlen(string);
    while (length > 0 && is_blank(string[length - 1]))
        length--;
    string[length] = '\0';
    return string;
}

static bool next_line(struct ini *ini, struct line *ret)
{
    if (ini->line == 0)
        ini->next += text_byte_order_mark(ini->next, (size_t)(ini->end - ini->next));
    if (ini->next == ini->end)
        return false;

    const char *end = ini->next;
    while (end < ini->end && !is_line_end(*end))
        end++;
    *ret = (struct line){ini->next, (size_t)(end - ini->next)};
    if (ini->end - end >= 2 && is_line_end(end[1]) && end[1] != end[0])
        end++;
    ini->next = end < ini->end ? end + 1 : end;
    ini->line++;
    return true;
}

static bool is_comment(struct line line)
{
    size_t n = 0;

    while (n < line.length && is_blank(line.text[n]))
        n++;
    return n < line.length && (line.text[n] == '#' || line.text[n] == ';');
}

static bool is_continued(struct line line)
{
    size_t n = 0;

    while (n < line.length && line.text[line.length - 1 - n] == '\\')
        n++;
    return n % 2 == 1;
}

static int append(struct ini *ini, struct line line)
{
    struct buffer *joined = &ini->joined;

    if (buffer_reserve(joined, line.length + 1, SIZE_MAX) < 0)
        return -ENOMEM;
    (void)buffer_append(joined, line.text, line.length, SIZE_MAX);
    joined->bytes[joined->size] = '\0';
    return 0;
}

/* Reads a line and its continuation lines into ini->joined. Returns 1 with the number of the first
 * line, and of the first with a NUL byte or 0; 0 at the end; -ENOMEM. */
static int join_lines(struct ini *ini, size_t *ret_line, size_t *ret_nul_line)
{
    struct line line;
    size_t first = 0, nul_line = 0;
    bool continued = true;

    ini->joined.size = 0;
    while (continued && next_line(ini, &line)) {
        bool has_nul = memchr(line.text, '\0', line.length);
        if (has_nul && nul_line == 0)
            nul_line = ini->line;
        /* A NUL byte is an error even in a comment: an editor may show such a line as something
         * else. */
        if (is_comment(line) && !has_nul)
            continue;
        if (first == 0)
            first = ini->line;

        int r = append(ini, line);
        if (r < 0)
            return r;
        continued = is_continued(line) && !is_comment(line);
        if (continued)
            ini->joined.bytes[ini->joined.size - 1] = ' ';
    }

    *ret_line = first;
    *ret_nul_line = nul_line;
    return first > 0;
}

/* The parsers of a joined line return NULL, or the reason why it is malformed (static text). */

static const char *parse_header(struct ini *ini, char *text, struct ini_entry *ret)
{
    size_t length = strlen(text);

    ini->state = INI_BAD_SECTION;
    if (text[length - 1] != ']')
        return "A section header must end in ']', and a comment needs a line of its own";
    if (length == 2)
        return "A section header needs a name";

    ini->state = INI_IN_SECTION;
    text[length - 1] = '\0';
    ret->kind = INI_SECTION;
    ret->name = text + 1;
    return NULL;
}

static const char *parse_assignment(struct ini *ini, char *text, struct ini_entry *ret)
{
    char *equals = strchr(text, '=');

    if (!equals)
        return "Neither [Section] nor Setting=value";
    if (equals == text)
        return "The name of the setting is missing before '='";
    if (ini->state == INI_NO_SECTION)
        return "This setting stands before any [Section]";

    *equals = '\0';
    ret->kind = INI_ASSIGNMENT;
    ret->name = strip_string(text);
    ret->value = strip_string(equals + 1);
    return NULL;
}

static void parse_entry(struct ini *ini, char *text, size_t nul_line, struct ini_entry *ret)
{
    const char *why;

    if (text[0] == '[')
        why = parse_header(ini, text, ret);
    else
        why = parse_assignment(ini, text, ret);

    if (nul_line > 0) {
        if (text[0] == '[')
            ini->state = INI_BAD_SECTION;
        why = "There is a NUL byte in this line";
        ret->line = nul_line;
    }
    if (why) {
        ret->kind = INI_ERROR;
        ret->name = text;
        ret->why = why;
    }
}

int ini_next(struct ini *ini, struct ini_entry *ret)
{
    size_t line, nul_line;
    int r;

    while ((r = join_lines(ini, &line, &nul_line)) > 0) {
        struct ini_entry entry = {.line = line};
        char *text = strip_string(ini->joined.bytes);

        if (text[0] == '\0' && nul_line == 0)
            continue;
        parse_entry(ini, text, nul_line, &entry);
        if (entry.kind == INI_ASSIGNMENT && ini->state == INI_BAD_SECTION)
            continue;
        *ret = entry;
        return 1;
    }
    return r;
}

void ini_deinit(struct ini *ini)
{
    buffer_deinit(&ini->joined);
    *ini = (struct ini){0};
}
