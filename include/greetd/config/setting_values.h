/* SPDX-License-Identifier: MIT */
#pragma once

/* The settings of one section: assigned line by line, then completed by what they inherit and by
 * their defaults. Values own their strings. Pure. */

#include <stdio.h>

#include "greetd/config/setting_table.h"

/* Assigns TEXT, which stands at ORIGIN (`PATH:LINE` or SETTING_ORIGIN_COMMAND_LINE). A list is
 * appended to. An empty TEXT empties a list or a message, and unsets any other setting. Errors:
 * -EINVAL with *ret_why (static text), when nothing has changed; -ENOMEM. */
int setting_values_assign(struct setting_values *values, const struct setting *setting,
                          const char *text, const char *origin, const char **ret_why);

/* The origin of the value in force, SETTING_ORIGIN_DEFAULT if it is not set. Borrowed. */
const char *setting_values_origin(const struct setting_values *values,
                                  const struct setting *setting);

/* Completes the values of a section of KIND. A setting that is not set becomes that of INHERITED,
 * which is complete, if INHERITED is not NULL and has it; else its default. Of Message= and
 * MessageFile= only the one in force remains. A section with DripSec=0 does not inherit
 * DripRepeat=. Errors: -ENOMEM. */
int setting_values_complete(struct setting_values *values, enum section_kind kind,
                            const struct setting_values *inherited);

/* Prints the complete values of a section of KIND as assignments, each below a comment with its
 * origin. Errors are those of STREAM, see ferror(3). */
void setting_values_print(const struct setting_values *values, enum section_kind kind,
                          FILE *stream);

/* Frees what the values own and leaves them unset. */
void setting_values_deinit(struct setting_values *values);
