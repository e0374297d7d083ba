/* SPDX-License-Identifier: MIT */
#pragma once

/* Text as JSON (RFC 8259) wants it. */

#include <stdio.h>

/* Writes TEXT to STREAM as a JSON string, with its quotes. Bytes that are not UTF-8 become U+FFFD
 * each, so that what is written is JSON whatever the text was. Whether writing worked, ferror(3)
 * of the stream tells. */
void json_string(FILE *stream, const char *text);
