/* SPDX-License-Identifier: MIT */
#pragma once

/* The escapes of Message=: `\n \r \t \\ \xHH`, each of which stands for one byte. */

#include <stddef.h>

/* Decodes the escape at ESCAPE, which begins with a backslash, to *RET. Returns how many characters
 * it was written with, or 0 with *ret_why (static text) if it is none. */
size_t escape_decode(char *ret, const char *escape, const char **ret_why);
