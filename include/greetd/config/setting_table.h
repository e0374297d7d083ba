/* SPDX-License-Identifier: MIT */
#pragma once

/* The table of all settings, in the order in which they are printed. A new setting is a member of
 * one of the structs in setting.h and a row here. Constant. */

#include "greetd/config/setting.h"

/* Ends with a row without a name. */
extern const struct setting setting_table[];

/* The row called NAME in any of SECTIONS, or NULL. Upper and lower case differ. */
const struct setting *setting_find(const char *name, unsigned sections);

/* Returns the name of the setting for messages about a value set by ORIGIN: that of its option if
 * it was set on the command line. Static text. */
const char *setting_label(const struct setting *setting, const char *origin);
