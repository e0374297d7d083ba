/* SPDX-License-Identifier: MIT */
#include "greetd/guard/network_list.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "greetd/base/cleanup.h"
#include "greetd/base/text.h"

/* How many errors of one place are added, and how many remarks; the others are only counted. */
#define LINES_MAX 100

/* A list of a million networks has 20 to 40 bytes for each. */
#define FILE_SIZE_MAX ((size_t)64 * 1024 * 1024)

/* Lines of a file may end with CR LF. */
#define BLANKS " \t\r"

#define WHY_RANGE                                                                                  \
    "the length of the prefix must be a number up to 32 for IPv4, 128 for IPv6, without leading "  \
    "zeros"
#define WHY_NETWORK                                                                                \
    "must be a network such as 192.0.2.0/24 or 2001:db8::/32, an address, any, "                   \
    "localhost, link-local or multicast"
#define WHY_ITEM WHY_NETWORK ", or the absolute path of a file with these"

/* Room for `PATH:LINE: TEXT`. */
#define ITEM_TEXT_MAX ((size_t)2 * TEXT_EXCERPT_MAX + sizeof(":18446744073709551615: "))

/* Where networks are read: a line of the configuration or a file that it names. */
struct reader {
    struct network_array *array;
    struct file_report *report;
    const char *origin, *label; /* where the text was set: `ORIGIN: LABEL=` */
    bool denied;
    const char *path;           /* of the file, else NULL */
    size_t line;                /* of the file, from 1 */
    size_t n_errors, n_remarks; /* including those only counted */
};

/* Writes the text of an item, after the file and the line in which it stands. An empty text stands
 * for the whole line. */
static const char *format_item(const struct reader *reader, const char *text, size_t length,
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

static void add_error(struct reader *reader, const char *text, size_t length, const char *why,
                      const char *nearest)
{
    char item[ITEM_TEXT_MAX];

    diagnostics_add(reader->report->errors, "%s: %s=%s: %s%s%s%s", reader->origin, reader->label,
                    format_item(reader, text, length, item), why, nearest ? "; did you mean " : "",
                    nearest ? nearest : "", nearest ? "?" : "");
}

/* Adds the ERROR of network_parse(). */
static void add_parse_error(struct reader *reader, const char *text, size_t length, int error)
{
    if (reader->n_errors++ >= LINES_MAX)
        return;
    if (error == -ERANGE)
        add_error(reader, text, length, WHY_RANGE, NULL);
    else
        add_error(reader, text, length, reader->path ? WHY_NETWORK : WHY_ITEM,
                  network_nearest_word(text, length));
}

static void remark_low_bits(struct reader *reader, const char *text, size_t length,
                            const struct network *network)
{
    char item[ITEM_TEXT_MAX], meant[NETWORK_TEXT_MAX];

    if (!reader->report->remarks || reader->n_remarks++ >= LINES_MAX)
        return;
    diagnostics_add(reader->report->remarks,
                    "%s: %s=%s: remark: the address has bits beyond the prefix, which are "
                    "ignored: %s",
                    reader->origin, reader->label, format_item(reader, text, length, item),
                    network_format(network, meant));
}

/* Makes room for the networks of a word. */
static int reserve(struct network_array *array)
{
    size_t capacity = 2 * array->capacity + NETWORKS_OF_WORD;

    if (array->capacity - array->n >= NETWORKS_OF_WORD)
        return 0;
    struct network *grown = reallocarray(array->networks, capacity, sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    array->networks = grown;
    array->capacity = capacity;
    return 0;
}

/* Reads the LENGTH bytes at TEXT, none of them '\0': a network or a word. */
static int read_item(struct reader *reader, const char *text, size_t length)
{
    struct network_array *array = reader->array;

    int r = reserve(array);
    if (r < 0)
        return r;
    r = network_parse(&array->networks[array->n], text, length);
    if (r < 0) {
        add_parse_error(reader, text, length, r);
        return 0;
    }
    if (array->networks[array->n].had_low_bits)
        remark_low_bits(reader, text, length, &array->networks[array->n]);
    for (int i = 0; i < r; i++)
        array->networks[array->n++].denied = reader->denied;
    return 0;
}

static bool begins_comment(char c)
{
    return c == '#' || c == ';';
}

/* Reads a line, which ends with '\0'. */
static int read_line(struct reader *reader, const char *line)
{
    const char *text = line + strspn(line, BLANKS);
    size_t length = strcspn(text, BLANKS);
    const char *rest = text + length + strspn(text + length, BLANKS);

    if (length == 0 || begins_comment(*text))
        return 0;
    if (*rest == '\0' || begins_comment(*rest))
        return read_item(reader, text, length);
    if (reader->n_errors++ < LINES_MAX)
        add_error(reader, text, strlen(text), "a line must have one network", NULL);
    return 0;
}

static int read_lines(struct reader *reader, char *bytes, size_t size)
{
    char *line = bytes + text_byte_order_mark(bytes, size);
    int r = 0;

    for (char *end; line < bytes + size && r >= 0; line = end + 1) {
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

/* Adds the ERROR of file_read(). */
static void add_read_error(const struct reader *reader, const char *path, int error)
{
    struct file_report *report = reader->report;
    char excerpt[TEXT_EXCERPT_MAX];

    diagnostics_add(report->errors, "%s: %s=%s: %s", reader->origin, reader->label,
                    text_excerpt(path, excerpt), file_strerror(error));
    if (!file_is_bad(error)) {
        report->n_unreadable++;
        report->read_error = error;
    }
}

static int read_file(struct reader *reader, const char *path)
{
    _cleanup_free_ char *bytes = NULL;
    size_t size;

    int r = file_read(&bytes, &size, path, FILE_SIZE_MAX);
    if (r == -ENOMEM || file_diagnose_shortage(path, r, reader->report->errors))
        return r;
    if (r < 0) {
        add_read_error(reader, path, r);
        return 0;
    }
    reader->path = path;
    reader->line = 0;
    return read_lines(reader, bytes, size);
}

/* Adds the numbers of errors and remarks that were only counted, before another place is read. */
static void end_place(struct reader *reader)
{
    char path[TEXT_EXCERPT_MAX] = "";

    if (reader->path)
        text_excerpt(reader->path, path);
    if (reader->n_errors > LINES_MAX)
        diagnostics_add(reader->report->errors, "%s: %s=%s: %zu more mistakes of this kind",
                        reader->origin, reader->label, path, reader->n_errors - LINES_MAX);
    if (reader->n_remarks > LINES_MAX)
        diagnostics_add(reader->report->remarks, "%s: %s=%s: remark: %zu more of this kind",
                        reader->origin, reader->label, path, reader->n_remarks - LINES_MAX);
    reader->n_errors = reader->n_remarks = 0;
    reader->path = NULL;
}

static bool is_path(const char *text)
{
    return text[0] == '/';
}

/* Finds the next item. Returns its length, 0 at the end, and moves *TEXT to it. */
static size_t next_item(const char **text)
{
    *text += strspn(*text, BLANKS);
    return strcspn(*text, BLANKS);
}

int network_list_check(const char *text, const char *origin, const char *label,
                       struct diagnostics *diagnostics)
{
    _cleanup_(network_array_deinit) struct network_array array = {.n = 0};
    struct file_report report = {.errors = diagnostics};
    struct reader reader = {.array = &array, .report = &report, .origin = origin, .label = label};
    int r = 0;

    for (size_t n; (n = next_item(&text)) > 0 && r >= 0; text += n)
        if (!is_path(text))
            r = read_item(&reader, text, n);
    end_place(&reader);
    return r;
}

/* Makes room for one more in each array. Their sizes are powers of two. On failure one may be
 * larger than the other, without harm. */
static int grow(struct network_list *list)
{
    size_t n = list->n;

    if ((n & (n - 1)) != 0)
        return 0;
    n = n > 0 ? 2 * n : 1;
    char **texts = reallocarray(list->texts, n, sizeof(*list->texts));
    if (!texts)
        return -ENOMEM;
    list->texts = texts;

    char **origins = reallocarray(list->origins, n, sizeof(*list->origins));
    if (!origins)
        return -ENOMEM;
    list->origins = origins;
    return 0;
}

static int append_item(struct network_list *list, const char *text, size_t length,
                       const char *origin)
{
    _cleanup_free_ char *text_copy = strndup(text, length);
    _cleanup_free_ char *origin_copy = strdup(origin);

    if (!text_copy || !origin_copy || grow(list) < 0)
        return -ENOMEM;
    list->texts[list->n] = TAKE_PTR(text_copy);
    list->origins[list->n] = TAKE_PTR(origin_copy);
    list->n++;
    return 0;
}

static bool is_right(const char *text, size_t length)
{
    struct network networks[NETWORKS_OF_WORD];

    return is_path(text) || network_parse(networks, text, length) > 0;
}

int network_list_append(struct network_list *list, const char *text, const char *origin)
{
    int r = 0;

    for (size_t n; (n = next_item(&text)) > 0 && r >= 0; text += n)
        if (is_right(text, n))
            r = append_item(list, text, n, origin);
    return r;
}

int network_list_copy(struct network_list *list, const struct network_list *from)
{
    int r = 0;

    for (size_t i = 0; i < from->n && r >= 0; i++)
        r = append_item(list, from->texts[i], strlen(from->texts[i]), from->origins[i]);
    return r;
}

void network_list_clear(struct network_list *list)
{
    for (size_t i = 0; i < list->n; i++) {
        free(list->texts[i]);
        free(list->origins[i]);
    }
    free(list->texts);
    free(list->origins);
    *list = (struct network_list){0};
}

void network_array_deinit(struct network_array *array)
{
    free(array->networks);
    *array = (struct network_array){0};
}

int network_list_read(struct network_array *array, const struct network_list *list,
                      const char *label, bool denied, struct file_report *report)
{
    struct reader reader = {.array = array, .report = report, .label = label, .denied = denied};
    int r = 0;

    for (size_t i = 0; i < list->n && r >= 0; i++) {
        const char *text = list->texts[i];
        reader.origin = list->origins[i];
        r = is_path(text) ? read_file(&reader, text) : read_item(&reader, text, strlen(text));
        end_place(&reader);
    }
    return r;
}
