/* SPDX-License-Identifier: MIT */
#pragma once

/* A configuration in the making: what the files and then the command line say, section by section.
 * Mistakes are added to a report and reading goes on, so that one run finds them all. Once complete
 * it only has to be looked at. */

#include <stddef.h>

#include "greetd/base/diagnostics.h"
#include "greetd/config/section.h"
#include "greetd/config/setting.h"

/* The origin of what was said on the command line. */
#define DRAFT_ORIGIN_COMMAND_LINE "command line"

struct draft_section {
    enum section_kind kind;
    char *name; /* owned: NAME of [Listener NAME], else NULL */
    struct setting_values values;
};

/* Where the sections that always are stand among all of them. */
enum { DRAFT_SERVER, DRAFT_LOG, DRAFT_GREETING, DRAFT_FIRST_LISTENER };

/* Owns the array and what is in it. */
struct draft {
    struct draft_section
        *sections; /* [Server], [Log], [Greeting], those [Listener NAME] there are */
    size_t n;
};

#define DRAFT_NULL ((struct draft){0})

/* Makes *RET a draft that says nothing yet. It is the caller's to give to draft_deinit(), even on
 * failure. Errors: -ENOMEM. */
int draft_init(struct draft *ret);
void draft_deinit(struct draft *draft);

/* Reads a file that is in memory; PATH is for the origins `PATH:LINE`. Mistakes are added to REPORT
 * as `PATH:LINE: text`. Errors: -ENOMEM. */
int draft_read_file(struct draft *draft, const char *path, const char *bytes, size_t size,
                    struct report *report);

/* Replaces ListenStream= of [Server] by the N addresses of --listen, if there are any, and Message=
 * of [Greeting] by that of --message, if it is not NULL. Mistakes are added to REPORT as `command
 * line: text`. Errors: -ENOMEM. */
int draft_read_options(struct draft *draft, const char **listen, size_t n, const char *message,
                       struct report *report);

/* Gives every setting that nothing was said of its value, the inherited or the default one. No more
 * can be read then. Errors: -ENOMEM. */
int draft_complete(struct draft *draft);

/* Adds a mistake for every address that is there twice, in one section or in two. */
void draft_report_duplicates(const struct draft *draft, struct report *report);
