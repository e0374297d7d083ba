/* SPDX-License-Identifier: MIT */
#include "greetd/base/unit_state.h"

#include <stdbool.h>
#include <string.h>

#include "greetd/base/cleanup.h"

static const char *const names[] = {
    [UNIT_STATE_UNKNOWN] = "unknown",
    [UNIT_STATE_ACTIVE] = "active",
    [UNIT_STATE_RELOADING] = "reloading",
    [UNIT_STATE_INACTIVE] = "inactive",
    [UNIT_STATE_FAILED] = "failed",
    [UNIT_STATE_ACTIVATING] = "activating",
    [UNIT_STATE_DEACTIVATING] = "deactivating",
    [UNIT_STATE_MAINTENANCE] = "maintenance",
    [UNIT_STATE_REFRESHING] = "refreshing",
};

const char *unit_state_name(enum unit_state state)
{
    return names[state];
}

enum unit_state unit_state_find(const char *name)
{
    for (size_t i = 0; i < ELEMENTSOF(names); i++)
        if (strcmp(names[i], name) == 0)
            return (enum unit_state)i;
    return UNIT_STATE_UNKNOWN;
}

static bool is_type(const char *text)
{
    static const char *const types[] = {"service", "socket",    "target", "timer", "path", "mount",
                                        "device",  "automount", "swap",   "slice", "scope"};

    for (size_t i = 0; i < ELEMENTSOF(types); i++)
        if (strcmp(types[i], text) == 0)
            return true;
    return false;
}

/* The rules of systemd itself: one bad name would fail the request for all units. */
const char *unit_state_check_name(const char *name, size_t *ret_offset)
{
    static const char valid[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                ":-_.\\@";
    const char *dot = strrchr(name, '.'), *at = strchr(name, '@');

    *ret_offset = strspn(name, valid);
    if (name[*ret_offset] != '\0')
        return "a unit's name has letters, digits and : - _ . \\ @ only";
    if (*ret_offset > UNIT_NAME_MAX)
        return "a unit's name must not be longer than 255 bytes";
    if (!dot || !is_type(dot + 1)) {
        *ret_offset = dot ? (size_t)(dot - name) : *ret_offset;
        return "a unit's name ends with its type, such as .service";
    }
    *ret_offset = 0;
    if (dot == name || at == name)
        return "a unit's name has something before . and @";
    if (!at || at + 1 != dot)
        return NULL;
    *ret_offset = (size_t)(at - name);
    return "a template has no state; its instances have";
}
