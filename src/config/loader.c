/* SPDX-License-Identifier: MIT */
#include "greetd/config/loader.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "greetd/base/cleanup.h"
#include "greetd/base/parse.h"
#include "greetd/config/ini.h"
#include "greetd/greeting/greeting.h"

/* Who says something, for mistakes: a line of a file, or an option on the command line. */
struct source {
    const char *origin; /* `PATH:LINE` or DRAFT_ORIGIN_COMMAND_LINE */
    const char *label;  /* what the setting is called there: `Backlog`, `--listen` */
};

static const struct source listen_option = {DRAFT_ORIGIN_COMMAND_LINE, "--listen"};
static const struct source message_option = {DRAFT_ORIGIN_COMMAND_LINE, "--message"};

static int add_section(struct draft *draft, enum section_kind kind, const char *name)
{
    _cleanup_free_ char *copy = name ? strdup(name) : NULL;
    if (name && !copy)
        return -ENOMEM;

    struct draft_section *grown = reallocarray(draft->sections, draft->n + 1, sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    draft->sections = grown;
    draft->sections[draft->n++] = (struct draft_section){.kind = kind, .name = TAKE_PTR(copy)};
    return 0;
}

int draft_init(struct draft *ret)
{
    *ret = DRAFT_NULL;
    int r = add_section(ret, SECTION_SERVER, NULL);
    if (r >= 0)
        r = add_section(ret, SECTION_LOG, NULL);
    return r < 0 ? r : add_section(ret, SECTION_GREETING, NULL);
}

void draft_deinit(struct draft *draft)
{
    for (size_t i = 0; i < draft->n; i++) {
        free(draft->sections[i].name);
        setting_values_deinit(&draft->sections[i].values);
    }
    free(draft->sections);
    *draft = DRAFT_NULL;
}

static struct draft_section *find_section(struct draft *draft, enum section_kind kind,
                                          const char *name)
{
    for (size_t i = 0; i < draft->n; i++)
        if (draft->sections[i].kind == kind &&
            (!name || strcmp(draft->sections[i].name, name) == 0))
            return &draft->sections[i];
    return NULL;
}

/* A mistake is added to REPORT and is no error: reading goes on. */
static int assign(struct setting_values *values, const struct setting *setting, const char *text,
                  const struct source *source, struct report *report)
{
    char excerpt[VALUE_EXCERPT_MAX];
    const char *why;

    /* Even where another message takes its place later, a bad line is a bad line. It is kept all
     * the same: its variables are looked at once it is known whether it has any. */
    if (setting->kind == &field_message) {
        int r = greeting_check_text(text, source->origin, source->label, report);
        if (r < 0 && r != -EINVAL)
            return r == -EFBIG ? 0 : r;
    }

    int r = setting_assign(values, setting, text, source->origin, &why);
    if (r != -EINVAL)
        return r;
    const char *nearest = field_suggest_word(&setting->rule, text);
    report_add(report, "%s: %s=%s: %s%s%s%s", source->origin, source->label,
               value_excerpt(text, excerpt), why, nearest ? "; did you mean " : "",
               nearest ? nearest : "", nearest ? "?" : "");
    return 0;
}

struct reader {
    struct draft *draft;
    struct report *report;
    struct draft_section *section; /* the one being read; NULL for one that greetd doesn't know */
};

static int enter_section(struct reader *reader, const char *header, const char *origin)
{
    struct draft *draft = reader->draft;
    enum section_kind kind;
    const char *name;

    reader->section = NULL;
    if (section_parse(&kind, &name, header, origin, reader->report) < 0)
        return 0;
    reader->section = find_section(draft, kind, name);
    if (reader->section)
        return 0;

    int r = add_section(draft, kind, name);
    if (r >= 0)
        reader->section = &draft->sections[draft->n - 1];
    return r;
}

static int read_assignment(struct reader *reader, const struct ini_entry *entry, const char *origin)
{
    struct draft_section *section = reader->section;
    if (!section)
        return 0;

    const struct setting *setting = setting_find(entry->name, section->kind);
    const struct source source = {origin, entry->name};
    if (setting)
        return assign(&section->values, setting, entry->value, &source, reader->report);
    setting_report_unknown(entry->name, section->kind, section->name, origin, reader->report);
    return 0;
}

static int read_entry(struct reader *reader, const struct ini_entry *entry, const char *path)
{
    _cleanup_free_ char *origin = NULL;
    char excerpt[VALUE_EXCERPT_MAX];

    if (asprintf(&origin, "%s:%zu", path, entry->line) < 0) {
        origin = NULL;
        return -ENOMEM;
    }
    switch (entry->kind) {
    case INI_SECTION:
        return enter_section(reader, entry->name, origin);
    case INI_ASSIGNMENT:
        return read_assignment(reader, entry, origin);
    case INI_MISTAKE:
        report_add(reader->report, "%s: %s: %s", origin, entry->why,
                   value_excerpt(entry->name, excerpt));
    }
    return 0;
}

int draft_read_file(struct draft *draft, const char *path, const char *bytes, size_t size,
                    struct report *report)
{
    _cleanup_(ini_deinit) struct ini ini = INI_INIT(bytes, size);
    struct reader reader = {.draft = draft, .report = report};
    struct ini_entry entry;
    int r;

    while ((r = ini_next(&ini, &entry)) > 0) {
        r = read_entry(&reader, &entry, path);
        if (r < 0)
            break;
    }
    return r;
}

static int read_listen_option(struct draft *draft, const char *text, struct report *report)
{
    /* In a file an empty assignment empties the list; here it is more likely an unset variable. */
    if (text[0] == '\0') {
        report_add(report, "%s: %s=: the address is missing", listen_option.origin,
                   listen_option.label);
        return 0;
    }
    return assign(&draft->sections[DRAFT_SERVER].values,
                  setting_find("ListenStream", SECTION_SERVER), text, &listen_option, report);
}

int draft_read_options(struct draft *draft, const char **listen, size_t n, const char *message,
                       struct report *report)
{
    int r = 0;

    if (n > 0)
        r = assign(&draft->sections[DRAFT_SERVER].values,
                   setting_find("ListenStream", SECTION_SERVER), "", &listen_option, report);
    for (size_t i = 0; i < n && r >= 0; i++)
        r = read_listen_option(draft, listen[i], report);
    if (message && r >= 0)
        r = assign(&draft->sections[DRAFT_GREETING].values,
                   setting_find("Message", SECTION_GREETING), message, &message_option, report);
    return r;
}

int draft_complete(struct draft *draft)
{
    const struct setting_values *greeting = &draft->sections[DRAFT_GREETING].values;

    for (size_t i = 0; i < draft->n; i++) {
        struct draft_section *section = &draft->sections[i];
        int r = setting_values_complete(&section->values, section->kind,
                                        i >= DRAFT_FIRST_LISTENER ? greeting : NULL);
        if (r < 0)
            return r;
    }
    return 0;
}

static const char *origin_of(const struct setting_addresses *list, size_t i)
{
    return list->origins[i] ? list->origins[i] : FIELD_ORIGIN_DEFAULT;
}

/* Finds the same address as the I-th of the last of N sections, in front of it. Returns its origin,
 * or NULL if there is none. */
static const char *find_earlier(const struct draft_section *sections, size_t n, size_t i)
{
    const struct address *address = &sections[n - 1].values.listen.addresses[i];

    for (size_t j = 0; j < n; j++) {
        const struct setting_addresses *list = &sections[j].values.listen;
        size_t end = j == n - 1 ? i : list->n;
        for (size_t k = 0; k < end; k++)
            if (address_equal(&list->addresses[k], address))
                return origin_of(list, k);
    }
    return NULL;
}

/* Adds a mistake for each address of the last of N sections that stands in front of it too. */
static void report_section_duplicates(const struct draft_section *sections, size_t n,
                                      struct report *report)
{
    const struct setting_addresses *list = &sections[n - 1].values.listen;
    char excerpt[VALUE_EXCERPT_MAX];

    for (size_t i = 0; i < list->n; i++) {
        const char *origin = origin_of(list, i), *earlier = find_earlier(sections, n, i);
        bool is_option = strcmp(origin, DRAFT_ORIGIN_COMMAND_LINE) == 0;
        if (earlier)
            report_add(report, "%s: %s=%s: the same address is given already (%s)", origin,
                       is_option ? listen_option.label : "ListenStream",
                       value_excerpt(list->texts[i], excerpt), earlier);
    }
}

void draft_report_duplicates(const struct draft *draft, struct report *report)
{
    for (size_t i = 0; i < draft->n; i++)
        report_section_duplicates(draft->sections, i + 1, report);
}
