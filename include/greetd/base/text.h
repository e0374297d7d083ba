/* SPDX-License-Identifier: MIT */
#pragma once

/* "Did you mean ...?": the known name that a mistyped one is nearest to. */

#include <stddef.h>

/* Returns the one of the N CANDIDATES that takes the fewest insertions, deletions and replacements
 * of a letter to make from NAME (Levenshtein's distance), upper and lower case being the same; the
 * first of several. Returns NULL if none is near: at most a third of its letters may be wrong. The
 * returned pointer is one of CANDIDATES. */
const char *suggest_nearest(const char *name, const char *const *candidates, size_t n);
