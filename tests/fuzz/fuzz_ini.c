/* SPDX-License-Identifier: MIT */

/* The syntax of greetd.conf, compared with a model of systemd.syntax(7) that reads byte by byte. */

#include <stdbool.h>

#include "fuzz.h"
#include "greetd/base/cleanup.h"
#include "greetd/config/ini.h"

/* Entries as text: each its kind, its line, and its strings, which have no newline. */
struct entries {
    char *text; /* owned */
    size_t size;
    FILE *stream;
};

static void entries_open(struct entries *entries)
{
    entries->stream = open_memstream(&entries->text, &entries->size);
    PROPERTY(entries->stream);
}

static void entries_close(struct entries *entries)
{
    PROPERTY(fclose(entries->stream) == 0);
}

static void entries_deinit(struct entries *entries)
{
    free(entries->text);
}

/* The model: one line with those that were joined to it. */
struct model {
    struct entries *entries;
    char *joined; /* owned: room for the whole text */
    size_t length, first_line;
    enum { NOWHERE, LOST, INSIDE } place;
};

/* Removes blanks around TEXT, up to END. */
static char *trim(char *text, char *end)
{
    while (end > text && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    *end = '\0';
    return text + strspn(text, " \t");
}

static void model_end_entry(struct model *model)
{
    char *text = trim(model->joined, model->joined + model->length);
    char *end = text + strlen(text), *equals = strchr(text, '=');
    FILE *stream = model->entries->stream;

    if (*text == '[') {
        bool is_right = end - text > 2 && end[-1] == ']';
        model->place = is_right ? INSIDE : LOST;
        if (is_right)
            fprintf(stream, "%d %zu %.*s\n", INI_SECTION, model->first_line, (int)(end - text - 2),
                    text + 1);
        else
            fprintf(stream, "%d %zu\n", INI_ERROR, model->first_line);
    } else if (*text && (!equals || equals == text || model->place == NOWHERE)) {
        fprintf(stream, "%d %zu\n", INI_ERROR, model->first_line);
    } else if (*text && model->place == INSIDE) {
        char *value = trim(equals + 1, end);
        fprintf(stream, "%d %zu %s=", INI_ASSIGNMENT, model->first_line, trim(text, equals));
        fprintf(stream, "%s\n", value);
    }
    model->length = model->first_line = 0;
}

/* One physical line, up to END. */
static void model_add_line(struct model *model, const char *line, const char *end, size_t number)
{
    const char *p = line;
    bool is_joined = false;

    while (p < end && (*p == ' ' || *p == '\t'))
        p++;
    if (p < end && (*p == '#' || *p == ';'))
        return;
    if (model->first_line == 0)
        model->first_line = number;
    for (p = line; p < end; p++) {
        is_joined = *p == '\\' && !is_joined;
        model->joined[model->length++] = *p;
    }
    if (is_joined)
        model->joined[model->length - 1] = ' ';
    else
        model_end_entry(model);
}

static void model_read(struct entries *entries, const char *bytes, size_t size)
{
    _cleanup_free_ char *joined = malloc(size + 1);
    struct model model = {.entries = entries, .joined = joined};
    const char *end = bytes + size, *line = bytes, *p = line;
    size_t number = 1;

    PROPERTY(joined);
    if (size >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0)
        p = line = bytes + 3;
    for (; line < end; line = p, number++) {
        p += strcspn(p, "\r\n");
        model_add_line(&model, line, p, number);
        if (p < end && (p[1] == '\n' || p[1] == '\r') && p[1] != p[0])
            p++;
        p += p < end;
    }
    if (model.first_line > 0)
        model_end_entry(&model);
}

static void read_entries(struct entries *entries, const char *bytes, size_t size)
{
    _cleanup_(ini_deinit) struct ini ini = INI_INIT(bytes, size);
    struct ini_entry entry;
    size_t last = 0;
    int r;

    while ((r = ini_next(&ini, &entry)) > 0) {
        PROPERTY(entry.line > last);
        PROPERTY((entry.kind == INI_ERROR) == (entry.why != NULL));
        last = entry.line;
        fprintf(entries->stream, "%u %zu", entry.kind, entry.line);
        if (entry.kind == INI_SECTION)
            fprintf(entries->stream, " %s", entry.name);
        if (entry.kind == INI_ASSIGNMENT)
            fprintf(entries->stream, " %s=%s", entry.name, entry.value);
        fputc('\n', entries->stream);
    }
    PROPERTY(r == 0);
}

static void check_model(const struct entries *entries, const uint8_t *bytes, size_t size)
{
    _cleanup_(entries_deinit) struct entries expected = {.text = NULL};

    /* A line with a NUL byte is an error, but for the model it would end the text. */
    if (memchr(bytes, '\0', size))
        return;
    entries_open(&expected);
    _cleanup_free_ char *text = fuzz_text(bytes, size);
    model_read(&expected, text, size);
    entries_close(&expected);
    PROPERTY(expected.size == entries->size);
    PROPERTY(memcmp(expected.text, entries->text, entries->size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    _cleanup_(entries_deinit) struct entries entries = {.text = NULL};

    if (size == 0)
        return 0;
    entries_open(&entries);
    read_entries(&entries, (const char *)bytes, size);
    entries_close(&entries);
    check_model(&entries, bytes, size);
    return 0;
}
