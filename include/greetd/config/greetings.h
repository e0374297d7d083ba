/* SPDX-License-Identifier: MIT */
#pragma once

/* Compiles the greetings that the settings of one section describe. Only for a thread that may
 * block on the disk. */

#include <stddef.h>

#include "greetd/base/file.h"
#include "greetd/config/setting_values.h"
#include "greetd/greeting/greeting.h"
#include "greetd/greeting/message_file.h"

/* A reference each, or NULL. */
struct greetings {
    struct greeting *message; /* of Message= or MessageFile= */
    struct greeting *stale;   /* of StaleMessage= */
    struct greeting *stop;    /* of StopMessage= */
    struct greeting *refuse;  /* of RefuseMessage= */
};

/* Compiles the complete VALUES. A greeting that is set at the same place as that of BASE, whose
 * greetings are BASE_GREETINGS, is shared with it; both may be NULL. An error in a greeting is
 * added to REPORT and is no failure: that greeting is NULL then. So is a watched file that
 * does not exist yet, if there is a StaleMessage= to send in its place. greetings_deinit() is due
 * in any case. Errors: -EMFILE or -ENFILE, which are added, too; -ENOMEM. */
int greetings_compile(struct greetings *ret, const struct setting_values *values,
                      const struct setting_values *base, const struct greetings *base_greetings,
                      struct file_report *report);

/* Returns the greeting for the first clients, borrowed: the message, unless its file is missing or
 * older than MaxAgeSec=. */
struct greeting *greetings_first(const struct greetings *greetings,
                                 const struct setting_values *values);

/* The file of MessageFile=, borrowed from VALUES; its path is NULL if Message= is in force. */
struct message_file_source greetings_source(const struct setting_values *values);

void greetings_deinit(struct greetings *greetings);
