/* SPDX-License-Identifier: MIT */
#pragma once

/* The sections that greetd.conf may have. Pure. */

#include <stddef.h>

#include "greetd/base/diagnostics.h"

/* One bit each, so that a setting can say in which of them it may stand. */
enum section_kind {
    SECTION_SERVER = 1 << 0,   /* [Server] */
    SECTION_GREETING = 1 << 1, /* [Greeting] */
    SECTION_LISTENER = 1 << 2, /* [Listener NAME] */
    SECTION_LOG = 1 << 3,      /* [Log] */
};

#define SECTION_ANY (SECTION_SERVER | SECTION_GREETING | SECTION_LISTENER | SECTION_LOG)

/* The longest NAME, see FileDescriptorName= in systemd.socket(5). */
#define SECTION_NAME_MAX ((size_t)255)

/* Room for what section_format() writes, with its '\0'. */
#define SECTION_TEXT_MAX (SECTION_NAME_MAX + sizeof("[Listener ]"))

/* Reads what stands between the brackets of a section header. *RET_NAME becomes NAME of
 * `[Listener NAME]`, part of TEXT, or NULL. NAME is what FileDescriptorName= in systemd.socket(5)
 * accepts: ASCII without control characters and ':'. Returns 0, or -EINVAL after adding the mistake
 * to DIAGNOSTICS as `ORIGIN: text`. */
int section_parse(enum section_kind *ret, const char **ret_name, const char *text,
                  const char *origin, struct diagnostics *diagnostics);

/* Writes the header to BUFFER (SECTION_TEXT_MAX bytes), brackets and all, and returns BUFFER. A
 * section that should have a name and for which NAME is NULL is written as [Listener NAME]. */
const char *section_format(enum section_kind kind, const char *name, char *buffer);
