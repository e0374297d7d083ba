/* SPDX-License-Identifier: MIT */
#include "greetd/config/setting_values.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void *value_of(struct setting_values *values, const struct setting *setting)
{
    return (char *)values + setting->offset;
}

static const void *const_value_of(const struct setting_values *values,
                                  const struct setting *setting)
{
    return (const char *)values + setting->offset;
}

static char **origin_of(struct setting_values *values, const struct setting *setting)
{
    return &values->origins[setting - setting_table];
}

static bool is_set(const struct setting_values *values, const struct setting *setting)
{
    return values->origins[setting - setting_table] != NULL;
}

static int set_origin(struct setting_values *values, const struct setting *setting,
                      const char *origin)
{
    char *copy = strdup(origin);
    if (!copy)
        return -ENOMEM;
    free(*origin_of(values, setting));
    *origin_of(values, setting) = copy;
    return 0;
}

static void unset(struct setting_values *values, const struct setting *setting)
{
    setting->type->clear(value_of(values, setting));
    free(*origin_of(values, setting));
    *origin_of(values, setting) = NULL;
}

static const struct setting *message_row(void)
{
    return setting_find("Message", SECTION_GREETING);
}

static const struct setting *message_file_row(void)
{
    return setting_find("MessageFile", SECTION_GREETING);
}

int setting_values_assign(struct setting_values *values, const struct setting *setting,
                          const char *text, const char *origin, const char **ret_why)
{
    if (text[0] == '\0' && !setting->type->takes_empty) {
        unset(values, setting);
        return 0;
    }

    int r = setting->type->parse(&setting->rule, value_of(values, setting), text, origin, ret_why);
    if (r < 0)
        return r;
    /* The later of the two is in force. MessageFile= leaves Message= as it is until the values are
     * complete, so that an empty MessageFile= puts Message= back in force. */
    if (setting == message_row())
        unset(values, message_file_row());
    return set_origin(values, setting, origin);
}

const char *setting_values_origin(const struct setting_values *values,
                                  const struct setting *setting)
{
    return is_set(values, setting) ? values->origins[setting - setting_table]
                                   : SETTING_ORIGIN_DEFAULT;
}

static int set_default(struct setting_values *values, const struct setting *setting)
{
    const char *why = NULL;

    if (setting->default_text[0] == '\0')
        return 0;
    int r = setting->type->parse(&setting->rule, value_of(values, setting), setting->default_text,
                                 NULL, &why);
    assert(r != -EINVAL);
    return r;
}

/* Whether SETTING needs another one, which these values do not have: then it is not inherited. The
 * other one comes before it in the table, and has its value by now. */
static bool is_pointless(const struct setting_values *values, const struct setting *setting)
{
    if (strcmp(setting->name, "DripRepeat") == 0)
        return values->greeting.drip_usec == 0;
    if (strcmp(setting->name, "ProxyTrustedSources") == 0)
        return !values->greeting.proxy_protocol;
    return !values->greeting.watch &&
           (strcmp(setting->name, "MaxAgeSec") == 0 || strcmp(setting->name, "StaleMessage") == 0);
}

static int inherit(struct setting_values *values, const struct setting *setting,
                   const struct setting_values *inherited)
{
    int r = setting->type->copy(value_of(values, setting), const_value_of(inherited, setting));
    if (r < 0 || !is_set(inherited, setting))
        return r;
    return set_origin(values, setting, setting_values_origin(inherited, setting));
}

/* By default a message is expanded, and the bytes of a file are sent as they are. */
static void complete_expand(struct setting_values *values)
{
    if (!is_set(values, setting_find("Expand", SECTION_GREETING)))
        values->greeting.expand = !values->greeting.message_file;
}

/* A section with a Message= of its own has no use for settings of a file, neither its own, which
 * another file of the configuration may have set, nor inherited ones. */
static void unset_file(struct setting_values *values)
{
    for (const struct setting *setting = setting_table; setting->name; setting++)
        if (setting->of_file)
            unset(values, setting);
}

int setting_values_complete(struct setting_values *values, enum section_kind kind,
                            const struct setting_values *inherited)
{
    bool own_message = is_set(values, message_row()) && !is_set(values, message_file_row());

    if (own_message)
        unset_file(values);
    for (const struct setting *setting = setting_table; setting->name; setting++) {
        if ((setting->sections & kind) == 0 || is_set(values, setting))
            continue;
        bool inheritable = inherited && (setting->sections & SECTION_GREETING) != 0 &&
                           !(own_message && setting->of_file) && !is_pointless(values, setting);
        int r = inheritable ? inherit(values, setting, inherited) : set_default(values, setting);
        if (r < 0)
            return r;
    }
    if (is_set(values, message_file_row()))
        unset(values, message_row());
    complete_expand(values);
    return 0;
}

void setting_values_print(const struct setting_values *values, enum section_kind kind, FILE *stream)
{
    for (const struct setting *setting = setting_table; setting->name; setting++)
        if ((setting->sections & kind) != 0)
            setting->type->print(&setting->rule, const_value_of(values, setting), setting->name,
                                 setting_values_origin(values, setting), stream);
}

void setting_values_deinit(struct setting_values *values)
{
    for (const struct setting *setting = setting_table; setting->name; setting++)
        unset(values, setting);
}
