/* SPDX-License-Identifier: MIT */
#include "greetd/guard/network_reader.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "greetd/base/cleanup.h"
#include "greetd/base/file.h"
#include "greetd/base/text.h"

/* Errors of one place, and remarks. */
#define LINES_MAX 100

/* A list of a million networks has 20 to 40 bytes for each. */
#define FILE_SIZE_MAX ((size_t)64 * 1024 * 1024)

#define BLANKS " \t\r"

#define WHY_RANGE "the length of the prefix must be a number up to 32 for IPv4, 128 for IPv6"
#define WHY_NETWORK                                                                                \
    "must be a network such as 192.0.2.0/24 or 2001:db8::/32, an address, any, "                   \
    "localhost, link-local or multicast"
#define WHY_ITEM WHY_NETWORK ", or the absolute path of a file with these"

/* Room for `PATH:LINE: TEXT`. */
#define ITEM_TEXT_MAX ((size_t)2 * TEXT_EXCERPT_MAX + sizeof(":18446744073709551615: "))

void network_reader_deinit(struct network_reader *reader)
{
    free(reader->networks);
    *reader = (struct network_reader){0};
}

/* Writes the text of an item, after the file and the line in which it stands. An empty text stands
 * for the whole line. */
static const char *format_item(const struct network_reader *reader, const char *text, size_t length,
                               char *buffer)
{
    char copy[TEXT_EXCERPT_MAX + 1], *p = buffer;
    int n = (int)(length < TEXT_EXCERPT_MAX ? length : TEXT_EXCERPT_MAX);

    if (reader->path) {
        text_excerpt(reader->path, p);
        p += strlen(p);
        p += sprintf(p, ":%zu%s", reader->line, length > 0 ? ": " : "");
    }
    snprintf(copy, sizeof(copy), "%.*s", n, text);
    text_excerpt(copy, p);
    return buffer;
}

static void add_error(struct network_reader *reader, const char *text, size_t length,
                      const char *why, const char *nearest)
{
    char item[ITEM_TEXT_MAX];

    diagnostics_add(reader->errors, "%s: %s=%s: %s%s%s%s", reader->origin, reader->label,
                    format_item(reader, text, length, item), why, nearest ? "; did you mean " : "",
                    nearest ? nearest : "", nearest ? "?" : "");
}

/* Adds the ERROR of network_parse(). */
static void add_parse_error(struct network_reader *reader, const char *text, size_t length,
                            int error)
{
    if (reader->n_errors++ >= LINES_MAX)
        return;
    if (error == -ERANGE)
        add_error(reader, text, length, WHY_RANGE, NULL);
    else
        add_error(reader, text, length, reader->path ? WHY_NETWORK : WHY_ITEM,
                  network_nearest_word(text, length));
}

static void remark_low_bits(struct network_reader *reader, const char *text, size_t length,
                            const struct network *network)
{
    char item[ITEM_TEXT_MAX], meant[NETWORK_TEXT_MAX];

    if (!reader->remarks || reader->n_remarks++ >= LINES_MAX)
        return;
    diagnostics_add(reader->remarks,
                    "%s: %s=%s: remark: the address has bits beyond the prefix, which are "
                    "ignored: %s",
                    reader->origin, reader->label, format_item(reader, text, length, item),
                    network_format(network, meant));
}

static int reserve(struct network_reader *reader)
{
    size_t capacity = 2 * reader->capacity + NETWORKS_OF_WORD;

    if (reader->capacity - reader->n >= NETWORKS_OF_WORD)
        return 0;
    struct network *grown = reallocarray(reader->networks, capacity, sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    reader->networks = grown;
    reader->capacity = capacity;
    return 0;
}

int network_reader_read(struct network_reader *reader, const char *text, size_t length)
{
    int r = reserve(reader);
    if (r < 0)
        return r;

    r = network_parse(&reader->networks[reader->n], text, length);
    if (r < 0) {
        add_parse_error(reader, text, length, r);
        return 0;
    }
    if (reader->networks[reader->n].had_low_bits)
        remark_low_bits(reader, text, length, &reader->networks[reader->n]);
    for (int i = 0; i < r; i++)
        reader->networks[reader->n++].denied = reader->denies;
    return 0;
}

static bool begins_comment(char c)
{
    return c == '#' || c == ';';
}

/* Reads a line, which ends with '\0'. */
static int read_line(struct network_reader *reader, const char *line)
{
    const char *text = line + strspn(line, BLANKS);
    size_t length = strcspn(text, BLANKS);
    const char *rest = text + length + strspn(text + length, BLANKS);

    if (length == 0 || begins_comment(*text))
        return 0;
    if (*rest == '\0' || begins_comment(*rest))
        return network_reader_read(reader, text, length);
    if (reader->n_errors++ < LINES_MAX)
        add_error(reader, text, strlen(text), "a line must have one network", NULL);
    return 0;
}

static int read_lines(struct network_reader *reader, char *bytes, size_t size)
{
    int r = 0;

    for (char *line = bytes, *end; line < bytes + size && r >= 0; line = end + 1) {
        end = memchr(line, '\n', (size_t)(bytes + size - line));
        if (!end)
            end = bytes + size;
        *end = '\0';
        reader->line++;
        if (strlen(line) < (size_t)(end - line)) {
            reader->n_errors++;
            add_error(reader, line, 0, "a file of networks must be text, without a byte 0", NULL);
            break;
        }
        r = read_line(reader, line);
    }
    return r;
}

int network_reader_read_file(struct network_reader *reader, const char *path)
{
    _cleanup_free_ char *bytes = NULL;
    size_t size;

    int r = file_read(&bytes, &size, path, FILE_SIZE_MAX);
    if (r < 0)
        return r;
    reader->path = path;
    reader->line = 0;
    return read_lines(reader, bytes, size);
}

void network_reader_end_place(struct network_reader *reader)
{
    char path[TEXT_EXCERPT_MAX] = "";

    if (reader->path)
        text_excerpt(reader->path, path);
    if (reader->n_errors > LINES_MAX)
        diagnostics_add(reader->errors, "%s: %s=%s: %zu more mistakes of this kind", reader->origin,
                        reader->label, path, reader->n_errors - LINES_MAX);
    if (reader->n_remarks > LINES_MAX)
        diagnostics_add(reader->remarks, "%s: %s=%s: remark: %zu more of this kind", reader->origin,
                        reader->label, path, reader->n_remarks - LINES_MAX);
    reader->n_errors = reader->n_remarks = 0;
    reader->path = NULL;
}
