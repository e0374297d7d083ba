/* SPDX-License-Identifier: MIT */
#include "greetd/config/loader.h"

#include <errno.h>
#include <stdio.h>

#include "greetd/base/cleanup.h"
#include "greetd/base/text.h"
#include "greetd/config/ini.h"
#include "greetd/config/setting_table.h"
#include "greetd/config/setting_values.h"

/* An error in TEXT is added and is no failure, so that reading continues. */
static int assign(struct setting_values *values, const struct setting *setting, const char *text,
                  const char *origin, struct diagnostics *diagnostics)
{
    const char *label = setting_label(setting, origin), *why;
    char excerpt[TEXT_EXCERPT_MAX];

    /* A bad line is reported here even if a later one replaces it. The variables of a message are
     * checked once it is known whether it is in force and expanded. */
    int r = setting->type->check ? setting->type->check(text, origin, label, diagnostics) : 0;
    if (r < 0)
        return r == -ENOMEM ? r : 0;

    r = setting_values_assign(values, setting, text, origin, &why);
    if (r != -EINVAL)
        return r;
    const char *nearest = setting_type_nearest_word(&setting->rule, text);
    diagnostics_add(diagnostics, "%s: %s=%s: %s%s%s%s", origin, label, text_excerpt(text, excerpt),
                    why, nearest ? "; did you mean " : "", nearest ? nearest : "",
                    nearest ? "?" : "");
    return 0;
}

/* Returns the setting in any of SECTIONS whose name is nearest to KEY, or NULL. */
static const struct setting *find_nearest(const char *key, unsigned sections)
{
    const char *names[SETTING_N_MAX];
    size_t n = 0;

    for (const struct setting *setting = setting_table; setting->name; setting++)
        if ((setting->sections & sections) != 0)
            names[n++] = setting->name;

    const char *nearest = text_nearest(key, names, n);
    return nearest ? setting_find(nearest, sections) : NULL;
}

/* Writes the header of the first section that SETTING may stand in. */
static const char *format_first_section(const struct setting *setting, char *buffer)
{
    unsigned first = setting->sections & -setting->sections;
    return section_format((enum section_kind)first, NULL, buffer);
}

/* Adds that SECTION has no setting KEY, and the section that has it or the nearest setting. */
static void diagnose_unknown(const struct section *section, const char *key, const char *origin,
                             struct diagnostics *diagnostics)
{
    char excerpt[TEXT_EXCERPT_MAX], here[SECTION_TEXT_MAX], there[SECTION_TEXT_MAX];
    const struct setting *setting;

    section_format(section->kind, section->name, here);
    text_excerpt(key, excerpt);
    if ((setting = setting_find(key, SECTION_ANY)))
        diagnostics_add(diagnostics, "%s: %s= belongs in %s, not %s", origin, excerpt,
                        format_first_section(setting, there), here);
    else if ((setting = find_nearest(key, section->kind)))
        diagnostics_add(diagnostics, "%s: Unknown setting %s= in %s; did you mean %s=?", origin,
                        excerpt, here, setting->name);
    else if ((setting = find_nearest(key, SECTION_ANY)))
        diagnostics_add(diagnostics, "%s: Unknown setting %s= in %s; did you mean %s= in %s?",
                        origin, excerpt, here, setting->name, format_first_section(setting, there));
    else
        diagnostics_add(diagnostics, "%s: Unknown setting %s= in %s", origin, excerpt, here);
}

struct reader {
    struct sections *sections;
    struct diagnostics *diagnostics;
    struct section *section; /* the current one, borrowed; NULL if it is unknown */
};

static int enter_section(struct reader *reader, const char *header, const char *origin)
{
    enum section_kind kind;
    const char *name;

    reader->section = NULL;
    if (section_parse(&kind, &name, header, origin, reader->diagnostics) < 0)
        return 0;
    return sections_get(&reader->section, reader->sections, kind, name);
}

static int read_assignment(struct reader *reader, const struct ini_entry *entry, const char *origin)
{
    struct section *section = reader->section;
    if (!section)
        return 0;

    const struct setting *setting = setting_find(entry->name, section->kind);
    if (setting)
        return assign(&section->values, setting, entry->value, origin, reader->diagnostics);
    diagnose_unknown(section, entry->name, origin, reader->diagnostics);
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

/* Adds one address of --listen. */
static int read_listen(struct setting_values *values, const struct setting *setting,
                       const char *text, struct diagnostics *diagnostics)
{
    const char *origin = SETTING_ORIGIN_COMMAND_LINE;

    /* In a file an empty assignment empties the list; here it is more likely an unset variable. */
    if (text[0] == '\0') {
        diagnostics_add(diagnostics, "%s: %s=: the address is missing", origin,
                        setting_label(setting, origin));
        return 0;
    }
    return assign(values, setting, text, origin, diagnostics);
}

int loader_read_options(struct sections *sections, const char **listen, size_t n,
                        const char *message, struct diagnostics *diagnostics)
{
    const struct setting *setting = setting_find("ListenStream", SECTION_SERVER);
    struct setting_values *server = &sections->items[SECTIONS_SERVER].values;
    struct setting_values *greeting = &sections->items[SECTIONS_GREETING].values;
    int r = 0;

    if (n > 0)
        r = assign(server, setting, "", SETTING_ORIGIN_COMMAND_LINE, diagnostics);
    for (size_t i = 0; i < n && r >= 0; i++)
        r = read_listen(server, setting, listen[i], diagnostics);
    if (message && r >= 0)
        r = assign(greeting, setting_find("Message", SECTION_GREETING), message,
                   SETTING_ORIGIN_COMMAND_LINE, diagnostics);
    return r;
}
