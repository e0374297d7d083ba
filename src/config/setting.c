/* SPDX-License-Identifier: MIT */
#include "greetd/config/setting.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "greetd/base/cleanup.h"
#include "greetd/base/clock.h"
#include "greetd/base/text.h"

#define OFFSET(field) offsetof(struct setting_values, field)

/* One spelling of the limits for the parser and for the message. */
#define NUMBER(least, most)                                                                        \
    .kind = &setting_type_number,                                                                  \
    .rule = {                                                                                      \
        .min = (least), .max = (most), .accepts = "must be a number from " #least " to " #most}
#define NUMBER_OR_AUTO(least, most)                                                                \
    .kind = &setting_type_number,                                                                  \
    .rule = {.min = (least),                                                                       \
             .max = (most),                                                                        \
             .word = "auto",                                                                       \
             .accepts = "must be auto or a number from " #least " to " #most}
#define NUMBER_OR_INFINITY(least, most)                                                            \
    .kind = &setting_type_number,                                                                  \
    .rule = {.min = (least),                                                                       \
             .max = (most),                                                                        \
             .word = "infinity",                                                                   \
             .word_value = USEC_INFINITY,                                                          \
             .accepts = "must be infinity or a number from " #least " to " #most}
#define BOOLEAN .kind = &setting_type_boolean, .rule = {.accepts = "must be yes or no"}
/* LIST is an array of words that ends with NULL, ALL the same for the message: "a, b or c". */
#define WORD(list, all)                                                                            \
    .kind = &setting_type_word, .rule = {.words = (list), .accepts = "must be one of " all}
#define TIME_FROM(least, words)                                                                    \
    .kind = &setting_type_time,                                                                    \
    .rule = {.min = (least),                                                                       \
             .max = USEC_INFINITY,                                                                 \
             .accepts = "must be a time" words " such as 5 (seconds), 500ms, "                     \
                        "1min 30s or infinity"}
#define TIME         TIME_FROM(0, "")
#define TIME_ABOVE_0 TIME_FROM(1, " above 0")

/* As systemd writes them; each one's index is its number in syslog(3). */
static const char *const levels[] = {"emerg",  "alert", "crit",  "err", "warning",
                                     "notice", "info",  "debug", NULL};

/* In the order of enum setting_greet_on. */
static const char *const greet_on[] = {"connect", "data", NULL};

/* In the order in which they are printed. */
static const struct setting settings[] = {
    {.name = "ListenStream",
     .sections = SECTION_SERVER,
     .offset = OFFSET(listen),
     .fallback = "127.0.0.1:12345",
     .kind = &setting_type_addresses},
    {.name = "ListenStream",
     .sections = SECTION_LISTENER,
     .offset = OFFSET(listen),
     .fallback = "",
     .kind = &setting_type_addresses},
    {.name = "Backlog",
     .sections = SECTION_SERVER,
     .offset = OFFSET(server.backlog),
     .fallback = "4096",
     NUMBER(1, 2147483647)},
    {.name = "Workers",
     .sections = SECTION_SERVER,
     .offset = OFFSET(server.workers),
     .fallback = "auto",
     NUMBER_OR_AUTO(1, 1024)},
    {.name = "MaxConnections",
     .sections = SECTION_SERVER,
     .offset = OFFSET(server.max_connections),
     .fallback = "16384",
     NUMBER(1, 1048576)},
    {.name = "IdleExitSec",
     .sections = SECTION_SERVER,
     .offset = OFFSET(server.idle_exit_usec),
     .fallback = "infinity",
     TIME},
    {.name = "StopTimeoutSec",
     .sections = SECTION_SERVER,
     .offset = OFFSET(server.stop_timeout_usec),
     .fallback = "5s",
     TIME},
    {.name = "FastOpen",
     .sections = SECTION_SERVER,
     .offset = OFFSET(server.fast_open),
     .fallback = "no",
     BOOLEAN},
    {.name = "Connections",
     .sections = SECTION_LOG,
     .offset = OFFSET(log.connections),
     .fallback = "yes",
     BOOLEAN},
    {.name = "RateLimitIntervalSec",
     .sections = SECTION_LOG,
     .offset = OFFSET(log.rate_limit_interval_usec),
     .fallback = "30s",
     TIME},
    {.name = "RateLimitBurst",
     .sections = SECTION_LOG,
     .offset = OFFSET(log.rate_limit_burst),
     .fallback = "5000",
     NUMBER_OR_INFINITY(0, 4294967295)},
    {.name = "Level",
     .sections = SECTION_LOG,
     .offset = OFFSET(log.level),
     .fallback = "info",
     WORD(levels, "emerg, alert, crit, err, warning, notice, info or debug")},
    {.name = "Message",
     .sections = SECTION_GREETING | SECTION_LISTENER,
     .offset = OFFSET(greeting.message),
     .fallback = "Hello from server!",
     .kind = &setting_type_message,
     .yields_to = "MessageFile"},
    {.name = "MessageFile",
     .sections = SECTION_GREETING | SECTION_LISTENER,
     .offset = OFFSET(greeting.message_file),
     .fallback = "",
     .kind = &setting_type_path,
     .rule = {.accepts = "must be an absolute path"}},
    {.name = "Expand",
     .sections = SECTION_GREETING | SECTION_LISTENER,
     .offset = OFFSET(greeting.expand),
     .fallback = "yes", /* but see settle_expand() */
     BOOLEAN},
    {.name = "GreetOn",
     .sections = SECTION_GREETING | SECTION_LISTENER,
     .offset = OFFSET(greeting.greet_on),
     .fallback = "connect",
     WORD(greet_on, "connect or data")},
    {.name = "DataTimeoutSec",
     .sections = SECTION_GREETING | SECTION_LISTENER,
     .offset = OFFSET(greeting.data_timeout_usec),
     .fallback = "5s",
     TIME_ABOVE_0},
    {.name = "LingerSec",
     .sections = SECTION_GREETING | SECTION_LISTENER,
     .offset = OFFSET(greeting.linger_usec),
     .fallback = "2s",
     TIME},
    {.name = "WriteTimeoutSec",
     .sections = SECTION_GREETING | SECTION_LISTENER,
     .offset = OFFSET(greeting.write_timeout_usec),
     .fallback = "30s",
     TIME_ABOVE_0},
};
static_assert(ELEMENTSOF(settings) <= SETTING_N_MAX, "SETTING_N_MAX is too small");

static void *field_of(struct setting_values *values, const struct setting *setting)
{
    return (char *)values + setting->offset;
}

static const void *const_field_of(const struct setting_values *values,
                                  const struct setting *setting)
{
    return (const char *)values + setting->offset;
}

static size_t row_of(const struct setting *setting)
{
    return (size_t)(setting - settings);
}

static bool is_set(const struct setting_values *values, const struct setting *setting)
{
    return values->origins[row_of(setting)] != NULL;
}

const struct setting *setting_at(size_t index)
{
    return index < ELEMENTSOF(settings) ? &settings[index] : NULL;
}

const struct setting *setting_find(const char *name, unsigned sections)
{
    for (size_t i = 0; i < ELEMENTSOF(settings); i++)
        if ((settings[i].sections & sections) != 0 && strcmp(settings[i].name, name) == 0)
            return &settings[i];
    return NULL;
}

/* The name nearest to KEY among the settings of SECTIONS, or NULL. */
static const struct setting *find_nearest(const char *key, unsigned sections)
{
    const char *names[ELEMENTSOF(settings)];
    size_t n = 0;

    for (size_t i = 0; i < ELEMENTSOF(settings); i++)
        if ((settings[i].sections & sections) != 0)
            names[n++] = settings[i].name;

    const char *nearest = text_nearest(key, names, n);
    return nearest ? setting_find(nearest, sections) : NULL;
}

/* Writes the header of the first section that SETTING may stand in. */
static const char *format_home(const struct setting *setting, char *buffer)
{
    unsigned first = setting->sections & -setting->sections;
    return section_format((enum section_kind)first, NULL, buffer);
}

void setting_diagnose_unknown(const char *key, enum section_kind kind, const char *name,
                              const char *origin, struct diagnostics *diagnostics)
{
    char excerpt[TEXT_EXCERPT_MAX], here[SECTION_TEXT_MAX], home[SECTION_TEXT_MAX];
    const struct setting *setting;

    section_format(kind, name, here);
    text_excerpt(key, excerpt);

    if ((setting = setting_find(key, SECTION_ANY)))
        diagnostics_add(diagnostics, "%s: %s= belongs in %s, not %s", origin, excerpt,
                        format_home(setting, home), here);
    else if ((setting = find_nearest(key, kind)))
        diagnostics_add(diagnostics, "%s: Unknown setting %s= in %s; did you mean %s=?", origin,
                        excerpt, here, setting->name);
    else if ((setting = find_nearest(key, SECTION_ANY)))
        diagnostics_add(diagnostics, "%s: Unknown setting %s= in %s; did you mean %s= in %s?",
                        origin, excerpt, here, setting->name, format_home(setting, home));
    else
        diagnostics_add(diagnostics, "%s: Unknown setting %s= in %s", origin, excerpt, here);
}

static int set_origin(struct setting_values *values, const struct setting *setting,
                      const char *origin)
{
    char *copy = strdup(origin);
    if (!copy)
        return -ENOMEM;
    free(values->origins[row_of(setting)]);
    values->origins[row_of(setting)] = copy;
    return 0;
}

/* As though it had never been set. */
static void take_back(struct setting_values *values, const struct setting *setting)
{
    setting->kind->clear(field_of(values, setting));
    free(values->origins[row_of(setting)]);
    values->origins[row_of(setting)] = NULL;
}

int setting_assign(struct setting_values *values, const struct setting *setting, const char *text,
                   const char *origin, const char **ret_why)
{
    if (text[0] == '\0' && !setting->kind->takes_empty) {
        take_back(values, setting);
        return 0;
    }

    int r = setting->kind->parse(&setting->rule, field_of(values, setting), text, origin, ret_why);
    if (r < 0)
        return r;
    if (setting->yields_to)
        take_back(values, setting_find(setting->yields_to, setting->sections));
    return set_origin(values, setting, origin);
}

const char *setting_origin(const struct setting_values *values, const struct setting *setting)
{
    return is_set(values, setting) ? values->origins[row_of(setting)] : SETTING_ORIGIN_DEFAULT;
}

/* Whether something was set in VALUES that takes SETTING back, so that it is not inherited. */
static bool is_taken_back(const struct setting_values *values, const struct setting *setting)
{
    for (size_t i = 0; i < ELEMENTSOF(settings); i++)
        if (settings[i].yields_to && strcmp(settings[i].yields_to, setting->name) == 0 &&
            is_set(values, &settings[i]))
            return true;
    return false;
}

static int inherit(struct setting_values *values, const struct setting *setting,
                   const struct setting_values *from)
{
    int r = setting->kind->copy(field_of(values, setting), const_field_of(from, setting));
    if (r < 0 || !is_set(from, setting))
        return r;
    return set_origin(values, setting, from->origins[row_of(setting)]);
}

static int set_default(struct setting_values *values, const struct setting *setting)
{
    const char *why = NULL;

    if (setting->fallback[0] == '\0')
        return 0;
    int r = setting->kind->parse(&setting->rule, field_of(values, setting), setting->fallback, NULL,
                                 &why);
    assert(r != -EINVAL);
    return r;
}

/* The bytes of a file are not touched unless it is asked for. */
static void settle_expand(struct setting_values *values)
{
    if (!is_set(values, setting_find("Expand", SECTION_GREETING)))
        values->greeting.expand = !values->greeting.message_file;
}

/* Takes what is not in force out of the complete VALUES. */
static void settle(struct setting_values *values)
{
    for (size_t i = 0; i < ELEMENTSOF(settings); i++) {
        const char *name = settings[i].yields_to;
        if (name && is_set(values, setting_find(name, settings[i].sections)))
            take_back(values, &settings[i]);
    }
    settle_expand(values);
}

int setting_values_complete(struct setting_values *values, enum section_kind kind,
                            const struct setting_values *inherited)
{
    for (size_t i = 0; i < ELEMENTSOF(settings); i++) {
        const struct setting *setting = &settings[i];
        bool inheritable = inherited && (setting->sections & SECTION_GREETING) != 0;
        int r = 0;

        if ((setting->sections & kind) == 0 || is_set(values, setting))
            continue;
        if (!inheritable)
            r = set_default(values, setting);
        else if (!is_taken_back(values, setting))
            r = inherit(values, setting, inherited);
        if (r < 0)
            return r;
    }
    settle(values);
    return 0;
}

void setting_values_print(const struct setting_values *values, enum section_kind kind, FILE *stream)
{
    for (size_t i = 0; i < ELEMENTSOF(settings); i++) {
        const struct setting *setting = &settings[i];
        if ((setting->sections & kind) != 0)
            setting->kind->print(&setting->rule, const_field_of(values, setting), setting->name,
                                 setting_origin(values, setting), stream);
    }
}

void setting_values_deinit(struct setting_values *values)
{
    for (size_t i = 0; i < ELEMENTSOF(settings); i++)
        take_back(values, &settings[i]);
}
