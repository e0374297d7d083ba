/* SPDX-License-Identifier: MIT */
#pragma once

/* The kinds of sections that greetd.conf may have, and their headers. Pure. */

#include <stddef.h>

#include "greetd/base/diagnostics.h"

/* One bit each, so that a setting can list the kinds in which it may stand. A message about it
 * names the first of them. */
enum section_kind {
    SECTION_SERVER = 1 << 0,   /* [Server] */
    SECTION_LIMITS = 1 << 1,   /* [Limits] */
    SECTION_LOG = 1 << 2,      /* [Log] */
    SECTION_GREETING = 1 << 3, /* [Greeting] */
    SECTION_LISTENER = 1 << 4, /* [Listener NAME] */
};

#define SECTION_ANY                                                                                \
    (SECTION_SERVER | SECTION_GREETING | SECTION_LISTENER | SECTION_LOG | SECTION_LIMITS)

/* The length of the longest NAME, see FileDescriptorName= in systemd.socket(5). */
#define SECTION_NAME_MAX ((size_t)255)

/* Room for what section_format() writes, with its '\0'. */
#define SECTION_TEXT_MAX (SECTION_NAME_MAX + sizeof("[Listener ]"))

/* Parses TEXT between the brackets of a section header. *RET_NAME is NAME of `[Listener NAME]`, a
 * part of TEXT, or NULL. NAME may be any value of FileDescriptorName= in systemd.socket(5): ASCII
 * without control characters and ':'. Returns 0, or -EINVAL after adding the error to DIAGNOSTICS
 * as `ORIGIN: text`. */
int section_parse(enum section_kind *ret, const char **ret_name, const char *text,
                  const char *origin, struct diagnostics *diagnostics);

/* Writes the header to BUFFER (SECTION_TEXT_MAX bytes), with its brackets, and returns BUFFER. If
 * NAME is NULL where there should be one, it writes [Listener NAME]. */
const char *section_format(enum section_kind kind, const char *name, char *buffer);
