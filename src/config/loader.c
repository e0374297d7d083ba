/* SPDX-License-Identifier: MIT */
#include "greetd/config/loader.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "greetd/base/cleanup.h"
#include "greetd/base/text.h"
#include "greetd/config/ini.h"
#include "greetd/greeting/template.h"

/* Who says something, for mistakes: a line of a file, or an option on the command line. */
struct source {
    const char *origin; /* `PATH:LINE` or SETTING_ORIGIN_COMMAND_LINE */
    const char *label;  /* what the setting is called there: `Backlog`, `--listen` */
};

static const struct source listen_option = {SETTING_ORIGIN_COMMAND_LINE, "--listen"};
static const struct source message_option = {SETTING_ORIGIN_COMMAND_LINE, "--message"};

static int add_section(struct sections *sections, enum section_kind kind, const char *name)
{
    _cleanup_free_ char *copy = name ? strdup(name) : NULL;
    if (name && !copy)
        return -ENOMEM;

    struct section *grown = reallocarray(sections->sections, sections->n + 1, sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    sections->sections = grown;
    sections->sections[sections->n++] = (struct section){.kind = kind, .name = TAKE_PTR(copy)};
    return 0;
}

int sections_init(struct sections *ret)
{
    *ret = SECTIONS_NULL;
    int r = add_section(ret, SECTION_SERVER, NULL);
    if (r >= 0)
        r = add_section(ret, SECTION_LOG, NULL);
    return r < 0 ? r : add_section(ret, SECTION_GREETING, NULL);
}

void sections_deinit(struct sections *sections)
{
    for (size_t i = 0; i < sections->n; i++) {
        free(sections->sections[i].name);
        setting_values_deinit(&sections->sections[i].values);
    }
    free(sections->sections);
    *sections = SECTIONS_NULL;
}

static struct section *find_section(struct sections *sections, enum section_kind kind,
                                    const char *name)
{
    for (size_t i = 0; i < sections->n; i++)
        if (sections->sections[i].kind == kind &&
            (!name || strcmp(sections->sections[i].name, name) == 0))
            return &sections->sections[i];
    return NULL;
}

/* A mistake is added to DIAGNOSTICS and is no error: reading goes on. */
static int assign(struct setting_values *values, const struct setting *setting, const char *text,
                  const struct source *source, struct diagnostics *diagnostics)
{
    char excerpt[TEXT_EXCERPT_MAX];
    const char *why;

    /* Even where another message takes its place later, a bad line is a bad line. It is kept all
     * the same: its variables are looked at once it is known whether it has any. */
    if (setting->kind == &setting_type_message) {
        int r = template_check_escapes(text, source->origin, source->label, diagnostics);
        if (r == -EFBIG)
            return 0;
    }

    int r = setting_assign(values, setting, text, source->origin, &why);
    if (r != -EINVAL)
        return r;
    const char *nearest = setting_type_nearest_word(&setting->rule, text);
    diagnostics_add(diagnostics, "%s: %s=%s: %s%s%s%s", source->origin, source->label,
                    text_excerpt(text, excerpt), why, nearest ? "; did you mean " : "",
                    nearest ? nearest : "", nearest ? "?" : "");
    return 0;
}

struct reader {
    struct sections *sections;
    struct diagnostics *diagnostics;
    struct section *section; /* the one being read; NULL for one that greetd doesn't know */
};

static int enter_section(struct reader *reader, const char *header, const char *origin)
{
    struct sections *sections = reader->sections;
    enum section_kind kind;
    const char *name;

    reader->section = NULL;
    if (section_parse(&kind, &name, header, origin, reader->diagnostics) < 0)
        return 0;
    reader->section = find_section(sections, kind, name);
    if (reader->section)
        return 0;

    int r = add_section(sections, kind, name);
    if (r >= 0)
        reader->section = &sections->sections[sections->n - 1];
    return r;
}

static int read_assignment(struct reader *reader, const struct ini_entry *entry, const char *origin)
{
    struct section *section = reader->section;
    if (!section)
        return 0;

    const struct setting *setting = setting_find(entry->name, section->kind);
    const struct source source = {origin, entry->name};
    if (setting)
        return assign(&section->values, setting, entry->value, &source, reader->diagnostics);
    setting_diagnose_unknown(entry->name, section->kind, section->name, origin,
                             reader->diagnostics);
    return 0;
}

static int read_entry(struct reader *reader, const struct ini_entry *entry, const char *path)
{
    _cleanup_free_ char *origin = NULL;
    char excerpt[TEXT_EXCERPT_MAX];

    if (asprintf(&origin, "%s:%zu", path, entry->line) < 0) {
        origin = NULL;
        return -ENOMEM;
    }
    switch (entry->kind) {
    case INI_SECTION:
        return enter_section(reader, entry->name, origin);
    case INI_ASSIGNMENT:
        return read_assignment(reader, entry, origin);
    case INI_ERROR:
        diagnostics_add(reader->diagnostics, "%s: %s: %s", origin, entry->why,
                        text_excerpt(entry->name, excerpt));
    }
    return 0;
}

int loader_read_file(struct sections *sections, const char *path, const char *bytes, size_t size,
                     struct diagnostics *diagnostics)
{
    _cleanup_(ini_deinit) struct ini ini = INI_INIT(bytes, size);
    struct reader reader = {.sections = sections, .diagnostics = diagnostics};
    struct ini_entry entry;
    int r;

    while ((r = ini_next(&ini, &entry)) > 0) {
        r = read_entry(&reader, &entry, path);
        if (r < 0)
            break;
    }
    return r;
}

static int read_listen_option(struct sections *sections, const char *text,
                              struct diagnostics *diagnostics)
{
    /* In a file an empty assignment empties the list; here it is more likely an unset variable. */
    if (text[0] == '\0') {
        diagnostics_add(diagnostics, "%s: %s=: the address is missing", listen_option.origin,
                        listen_option.label);
        return 0;
    }
    return assign(&sections->sections[SECTIONS_SERVER].values,
                  setting_find("ListenStream", SECTION_SERVER), text, &listen_option, diagnostics);
}

int loader_read_options(struct sections *sections, const char **listen, size_t n,
                        const char *message, struct diagnostics *diagnostics)
{
    int r = 0;

    if (n > 0)
        r = assign(&sections->sections[SECTIONS_SERVER].values,
                   setting_find("ListenStream", SECTION_SERVER), "", &listen_option, diagnostics);
    for (size_t i = 0; i < n && r >= 0; i++)
        r = read_listen_option(sections, listen[i], diagnostics);
    if (message && r >= 0)
        r = assign(&sections->sections[SECTIONS_GREETING].values,
                   setting_find("Message", SECTION_GREETING), message, &message_option,
                   diagnostics);
    return r;
}

int sections_complete(struct sections *sections)
{
    const struct setting_values *greeting = &sections->sections[SECTIONS_GREETING].values;

    for (size_t i = 0; i < sections->n; i++) {
        struct section *section = &sections->sections[i];
        int r = setting_values_complete(&section->values, section->kind,
                                        i >= SECTIONS_FIRST_LISTENER ? greeting : NULL);
        if (r < 0)
            return r;
    }
    return 0;
}

static const char *origin_of(const struct address_list *list, size_t i)
{
    return list->origins[i] ? list->origins[i] : SETTING_ORIGIN_DEFAULT;
}

/* Finds the same address as the I-th of the last of N sections, in front of it. Returns its origin,
 * or NULL if there is none. */
static const char *find_earlier(const struct section *sections, size_t n, size_t i)
{
    const struct address *address = &sections[n - 1].values.listen.addresses[i];

    for (size_t j = 0; j < n; j++) {
        const struct address_list *list = &sections[j].values.listen;
        size_t end = j == n - 1 ? i : list->n;
        for (size_t k = 0; k < end; k++)
            if (address_equal(&list->addresses[k], address))
                return origin_of(list, k);
    }
    return NULL;
}

/* Adds a mistake for each address of the last of N sections that stands in front of it too. */
static void report_section_duplicates(const struct section *sections, size_t n,
                                      struct diagnostics *diagnostics)
{
    const struct address_list *list = &sections[n - 1].values.listen;
    char excerpt[TEXT_EXCERPT_MAX];

    for (size_t i = 0; i < list->n; i++) {
        const char *origin = origin_of(list, i), *earlier = find_earlier(sections, n, i);
        bool is_option = strcmp(origin, SETTING_ORIGIN_COMMAND_LINE) == 0;
        if (earlier)
            diagnostics_add(diagnostics, "%s: %s=%s: the same address is given already (%s)",
                            origin, is_option ? listen_option.label : "ListenStream",
                            text_excerpt(list->texts[i], excerpt), earlier);
    }
}

void sections_find_duplicates(const struct sections *sections, struct diagnostics *diagnostics)
{
    for (size_t i = 0; i < sections->n; i++)
        report_section_duplicates(sections->sections, i + 1, diagnostics);
}
