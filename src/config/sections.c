/* SPDX-License-Identifier: MIT */
#include "greetd/config/sections.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "greetd/base/cleanup.h"
#include "greetd/base/clock.h"
#include "greetd/base/text.h"
#include "greetd/config/setting_table.h"
#include "greetd/config/setting_values.h"

static struct section *find(struct sections *sections, enum section_kind kind, const char *name)
{
    for (size_t i = 0; i < sections->n; i++)
        if (sections->items[i].kind == kind &&
            (!name || strcmp(sections->items[i].name, name) == 0))
            return &sections->items[i];
    return NULL;
}

static int add(struct sections *sections, enum section_kind kind, const char *name)
{
    _cleanup_free_ char *copy = name ? strdup(name) : NULL;
    if (name && !copy)
        return -ENOMEM;

    struct section *grown = reallocarray(sections->items, sections->n + 1, sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    sections->items = grown;
    sections->items[sections->n++] = (struct section){.kind = kind, .name = TAKE_PTR(copy)};
    return 0;
}

int sections_init(struct sections *ret)
{
    static const enum section_kind kinds[] = {
        [SECTIONS_SERVER] = SECTION_SERVER,
        [SECTIONS_LIMITS] = SECTION_LIMITS,
        [SECTIONS_LOG] = SECTION_LOG,
        [SECTIONS_GREETING] = SECTION_GREETING,
    };
    int r = 0;

    *ret = SECTIONS_NULL;
    for (size_t i = 0; i < ELEMENTSOF(kinds) && r >= 0; i++)
        r = add(ret, kinds[i], NULL);
    return r;
}

void sections_deinit(struct sections *sections)
{
    for (size_t i = 0; i < sections->n; i++) {
        free(sections->items[i].name);
        setting_values_deinit(&sections->items[i].values);
    }
    free(sections->items);
    *sections = SECTIONS_NULL;
}

int sections_get(struct section **ret, struct sections *sections, enum section_kind kind,
                 const char *name)
{
    struct section *section = find(sections, kind, name);

    if (!section) {
        int r = add(sections, kind, name);
        if (r < 0)
            return r;
        section = &sections->items[sections->n - 1];
    }
    *ret = section;
    return 0;
}

/* LogConnections= is by default as Connections= of [Log]; listeners inherit the result. */
static void complete_log_connections(struct sections *sections)
{
    const struct setting *setting = setting_find("LogConnections", SECTION_GREETING);
    struct setting_values *greeting = &sections->items[SECTIONS_GREETING].values;

    if (strcmp(setting_values_origin(greeting, setting), SETTING_ORIGIN_DEFAULT) == 0)
        greeting->greeting.log_connections = sections->items[SECTIONS_LOG].values.log.connections;
}

int sections_complete(struct sections *sections)
{
    const struct setting_values *greeting = &sections->items[SECTIONS_GREETING].values;

    for (size_t i = 0; i < sections->n; i++) {
        struct section *section = &sections->items[i];
        int r = setting_values_complete(&section->values, section->kind,
                                        i >= SECTIONS_FIRST_LISTENER ? greeting : NULL);
        if (r < 0)
            return r;
        if (i == SECTIONS_GREETING)
            complete_log_connections(sections);
    }
    return 0;
}

static const char *origin_of(const struct address_list *list, size_t i)
{
    return list->origins[i] ? list->origins[i] : SETTING_ORIGIN_DEFAULT;
}

/* Looks for the address at INDEX of the last of N sections among the addresses before it. Returns
 * the origin of the first that is equal, or NULL. */
static const char *find_earlier(const struct section *sections, size_t n, size_t index)
{
    const struct address *address = &sections[n - 1].values.listen.addresses[index];

    for (size_t i = 0; i < n; i++) {
        const struct address_list *list = &sections[i].values.listen;
        size_t end = i == n - 1 ? index : list->n;
        for (size_t j = 0; j < end; j++)
            if (address_equal(&list->addresses[j], address))
                return origin_of(list, j);
    }
    return NULL;
}

/* Adds an error for each address of the last of N sections that is listed before. */
static void diagnose_last(const struct section *sections, size_t n, struct diagnostics *diagnostics)
{
    const struct section *section = &sections[n - 1];
    const struct address_list *list = &section->values.listen;
    char excerpt[TEXT_EXCERPT_MAX];

    for (size_t i = 0; i < list->n; i++) {
        const char *origin = origin_of(list, i), *earlier = find_earlier(sections, n, i);
        if (earlier)
            diagnostics_add(diagnostics, "%s: %s=%s: the same address is given already (%s)",
                            origin,
                            setting_label(setting_find("ListenStream", section->kind), origin),
                            text_excerpt(list->texts[i], excerpt), earlier);
    }
}

void sections_diagnose_duplicates(const struct sections *sections, struct diagnostics *diagnostics)
{
    for (size_t i = 0; i < sections->n; i++)
        diagnose_last(sections->items, i + 1, diagnostics);
}

/* Adds that the setting NAME of SECTION needs another one, which is missing. What is inherited from
 * BASE has no effect silently. */
static void diagnose_need(const struct section *section, const struct section *base,
                          const char *name, const char *needs, struct diagnostics *diagnostics)
{
    const struct setting *setting = setting_find(name, section->kind);
    const char *origin = setting_values_origin(&section->values, setting);

    if (section == base || strcmp(origin, setting_values_origin(&base->values, setting)) != 0)
        diagnostics_add(diagnostics, "%s: %s= needs %s", origin, name, needs);
}

static void diagnose_section(const struct section *section, const struct section *base,
                             bool has_stop_delay, struct diagnostics *diagnostics)
{
    const struct greeting_settings *settings = &section->values.greeting;
    bool has_max_age = settings->max_age_usec != USEC_INFINITY;

    if (settings->pick != PICK_WHOLE && !settings->message_file)
        diagnose_need(section, base, "Pick", "MessageFile=", diagnostics);
    if (settings->watch && !settings->message_file)
        diagnose_need(section, base, "Watch", "MessageFile=", diagnostics);
    if (has_max_age && !settings->watch)
        diagnose_need(section, base, "MaxAgeSec", "Watch=yes", diagnostics);
    if (has_max_age && !settings->stale_message)
        diagnose_need(section, base, "MaxAgeSec", "StaleMessage=", diagnostics);
    if (settings->stale_message && !settings->watch)
        diagnose_need(section, base, "StaleMessage", "Watch=yes", diagnostics);
    if (settings->drip_repeat && settings->drip_usec == 0)
        diagnose_need(section, base, "DripRepeat", "DripSec=", diagnostics);
    if (settings->proxy_trusted_sources.n > 0 && !settings->proxy_protocol)
        diagnose_need(section, base, "ProxyTrustedSources", "ProxyProtocol=yes", diagnostics);
    if (settings->stop_message && !has_stop_delay)
        diagnose_need(section, base, "StopMessage", "StopDelaySec= in [Server]", diagnostics);
}

void sections_diagnose_needs(const struct sections *sections, struct diagnostics *diagnostics)
{
    bool has_stop_delay = sections->items[SECTIONS_SERVER].values.server.stop_delay_usec > 0;

    for (size_t i = SECTIONS_GREETING; i < sections->n; i++)
        diagnose_section(&sections->items[i], &sections->items[SECTIONS_GREETING], has_stop_delay,
                         diagnostics);
}
