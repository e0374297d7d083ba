/* SPDX-License-Identifier: MIT */
#pragma once

/* Reads the files of a configuration, and then the command line, into the caller's sections. Errors
 * are added to the caller's diagnostics and reading continues, so that one run finds them all. */

#include <stddef.h>

#include "greetd/base/diagnostics.h"
#include "greetd/config/sections.h"

/* Reads the file at PATH, of which the caller has SIZE bytes in memory. Errors in it are added as
 * `PATH:LINE: text`. Returns 0 or -ENOMEM. */
int loader_read_file(struct sections *sections, const char *path, const char *bytes, size_t size,
                     struct diagnostics *diagnostics);

/* Replaces ListenStream= of [Server] by the N addresses of --listen, if there are any, and Message=
 * of [Greeting] by MESSAGE, that of --message, if it is not NULL. Errors in them are added as
 * `command line: text`. Returns 0 or -ENOMEM. */
int loader_read_options(struct sections *sections, const char **listen, size_t n,
                        const char *message, struct diagnostics *diagnostics);
