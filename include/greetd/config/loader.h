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
#define SETTING_ORIGIN_COMMAND_LINE "command line"

struct section {
    enum section_kind kind;
    char *name; /* owned: NAME of [Listener NAME], else NULL */
    struct setting_values values;
};

/* Where the sections that always are stand among all of them. */
enum { SECTIONS_SERVER, SECTIONS_LOG, SECTIONS_GREETING, SECTIONS_FIRST_LISTENER };

/* Owns the array and what is in it. */
struct sections {
    struct section *sections; /* [Server], [Log], [Greeting], those [Listener NAME] there are */
    size_t n;
};

#define SECTIONS_NULL ((struct sections){0})

/* Makes *RET a draft that says nothing yet. It is the caller's to give to sections_deinit(), even
 * on failure. Errors: -ENOMEM. */
int sections_init(struct sections *ret);
void sections_deinit(struct sections *sections);

/* Reads a file that is in memory; PATH is for the origins `PATH:LINE`. Mistakes are added to
 * DIAGNOSTICS as `PATH:LINE: text`. Errors: -ENOMEM. */
int loader_read_file(struct sections *sections, const char *path, const char *bytes, size_t size,
                     struct diagnostics *diagnostics);

/* Replaces ListenStream= of [Server] by the N addresses of --listen, if there are any, and Message=
 * of [Greeting] by that of --message, if it is not NULL. Mistakes are added to DIAGNOSTICS as
 * `command line: text`. Errors: -ENOMEM. */
int loader_read_options(struct sections *sections, const char **listen, size_t n,
                        const char *message, struct diagnostics *diagnostics);

/* Gives every setting that nothing was said of its value, the inherited or the default one. No more
 * can be read then. Errors: -ENOMEM. */
int sections_complete(struct sections *sections);

/* Adds a mistake for every address that is there twice, in one section or in two. */
void sections_find_duplicates(const struct sections *sections, struct diagnostics *diagnostics);
