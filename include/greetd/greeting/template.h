/* SPDX-License-Identifier: MIT */
#pragma once

/* Compiles text with escapes and variables to a greeting. Pure. Errors in the text are added to the
 * caller's diagnostics as `ORIGIN: LABEL=: text`; beyond 100 they are only counted. */

#include "greetd/base/diagnostics.h"
#include "greetd/greeting/greeting.h"
#include "greetd/greeting/template_errors.h"

/* Adds every bad escape of TEXT: an escape is `\n \r \t \\ \xHH`. Returns 0, -EINVAL if there is
 * one, or -EFBIG, with its line, if the decoded text is larger than GREETING_SIZE_MAX. */
int template_check_escapes(const char *text, const char *origin, const char *label,
                           struct diagnostics *diagnostics);

/* Compiles TEXT with escapes and variables: `$name` and `${name}` become the values of variables,
 * `$$` becomes `$`; a `$` from an escape begins no variable. Adds bad variables, but no bad
 * escapes: template_check_escapes() adds those, also of a text that is replaced later. On success
 * *RET is the caller's. Errors: -EINVAL for a bad escape or variable; -EFBIG, with its line;
 * -ENOMEM. */
int template_compile(struct greeting **ret, const char *text, const char *origin, const char *label,
                     struct diagnostics *diagnostics);

/* Compiles TEXT with escapes; a `$` is a character like any other. On success *RET is the caller's.
 * Errors: -EINVAL with *ret_why (static text) and *ret_offset, the offset in TEXT of the first bad
 * escape; -EFBIG past GREETING_SIZE_MAX; -ENOMEM. */
int template_compile_escapes(struct greeting **ret, const char *text, const char **ret_why,
                             size_t *ret_offset);

/* Replaces *GREETING, the text of the file at PATH, by the same text compiled with its variables; a
 * backslash is a character like any other. Errors are added as `ORIGIN: LABEL=PATH:LINE: text`,
 * where the byte is counted in that line, and returned as by template_compile(). On failure
 * *GREETING is unchanged. */
int template_expand(struct greeting **greeting, const char *path, const char *origin,
                    const char *label, struct diagnostics *diagnostics);

/* Compiles the SIZE bytes at TEXT, a part of the file of ERRORS, in the same way. The caller calls
 * template_errors_end() after all parts. On success *RET is the caller's. Errors: as above, -EINVAL
 * also after an error in an earlier part. */
int template_expand_part(struct greeting **ret, const char *text, size_t size,
                         struct template_errors *errors);
