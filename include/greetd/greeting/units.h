/* SPDX-License-Identifier: MIT */
#pragma once

/* The units in the $unit_state{UNIT} of greetings, with their states. A table owns its memory and
 * belongs to one thread; the greetings may be read by others while their states are set. */

#include <stdbool.h>
#include <stddef.h>

#include "greetd/base/unit_state.h"
#include "greetd/greeting/greeting.h"

struct unit {
    char *name; /* owned */
    enum unit_state state;
};

/* Zeroes are an empty table. */
struct units {
    struct unit *items; /* sorted by name, each name once */
    size_t n, capacity;
};

void units_deinit(struct units *units);

/* Whether GREETING has any unit. */
bool units_are_in(const struct greeting *greeting);

/* Adds the units of GREETING that the table does not have, in an unknown state. Errors: -ENOMEM,
 * when some may be added. */
int units_add(struct units *units, const struct greeting *greeting);

/* Sets the state of each unit that FROM has, too, to the one there. */
void units_copy_states(struct units *units, const struct units *from);

/* Sets the state of every unit to unknown. */
void units_forget_states(struct units *units);

/* Sets the states in GREETING to those of the table; units that it does not have are left alone. */
void units_apply(const struct units *units, const struct greeting *greeting);
