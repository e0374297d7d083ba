/* SPDX-License-Identifier: MIT */
#pragma once

/* The states of systemd's units, as ActiveState= names them, and the names of units
 * (systemd.unit(5)). Pure. */

#include <stddef.h>

/* The longest name of a unit, without its '\0'. */
#define UNIT_NAME_MAX ((size_t)255)

/* In the order of the names in unit_state.c. */
enum unit_state {
    UNIT_STATE_UNKNOWN, /* systemd has not answered, or its answer is none of those below */
    UNIT_STATE_ACTIVE,
    UNIT_STATE_RELOADING,
    UNIT_STATE_INACTIVE,
    UNIT_STATE_FAILED,
    UNIT_STATE_ACTIVATING,
    UNIT_STATE_DEACTIVATING,
    UNIT_STATE_MAINTENANCE,
    UNIT_STATE_REFRESHING,
    UNIT_STATE_N, /* how many there are */
};

/* Returns the name of STATE; static text. */
const char *unit_state_name(enum unit_state state);

/* Returns the state with that NAME, or UNIT_STATE_UNKNOWN. */
enum unit_state unit_state_find(const char *name);

/* Returns NULL if NAME, which is not empty, is the name of a unit and not that of a template. Else
 * returns the reason (static text) with *ret_offset, where. */
const char *unit_state_check_name(const char *name, size_t *ret_offset);
