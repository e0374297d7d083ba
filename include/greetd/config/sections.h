/* SPDX-License-Identifier: MIT */
#pragma once

/* The sections of a configuration with their settings: first filled by the loader, then completed.
 * Complete sections are not changed again and may be read by any thread. */

#include <stddef.h>

#include "greetd/base/diagnostics.h"
#include "greetd/config/section.h"
#include "greetd/config/setting.h"

struct section {
    enum section_kind kind;
    char *name; /* owned: NAME of [Listener NAME], else NULL */
    struct setting_values values;
};

/* The indices of the sections that every configuration has. */
enum {
    SECTIONS_SERVER,
    SECTIONS_LIMITS,
    SECTIONS_LOG,
    SECTIONS_GREETING,
    SECTIONS_FIRST_LISTENER,
};

struct sections {
    /* Owned: [Server], [Limits], [Log], [Greeting], and each [Listener NAME]. */
    struct section *items;
    size_t n;
};

#define SECTIONS_NULL ((struct sections){0})

/* Makes *RET sections without a setting. It is the caller's to give to sections_deinit(), even on
 * failure. Errors: -ENOMEM. */
int sections_init(struct sections *ret);

void sections_deinit(struct sections *sections);

/* Finds the section of KIND and NAME (NULL but for [Listener NAME]), or adds it. *RET is borrowed
 * until the next one is added. Errors: -ENOMEM. */
int sections_get(struct section **ret, struct sections *sections, enum section_kind kind,
                 const char *name);

/* Gives every setting that is not set the value it inherits, or its default. Errors: -ENOMEM. */
int sections_complete(struct sections *sections);

/* Adds an error for every address that is listed twice, in one section or in two. */
void sections_diagnose_duplicates(const struct sections *sections, struct diagnostics *diagnostics);

/* Adds an error to DIAGNOSTICS for each setting of complete sections that has no effect without
 * another one, which is missing. */
void sections_diagnose_needs(const struct sections *sections, struct diagnostics *diagnostics);
