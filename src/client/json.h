/* SPDX-License-Identifier: MIT */
#pragma once

/* Reads one JSON object (RFC 8259), strictly, and takes a few of its members. Pure; it allocates
 * nothing. */

#include <stdbool.h>
#include <stddef.h>

/* Room for a value that is taken, with its '\0'. */
#define JSON_VALUE_MAX 64

/* Room for the reason of an error, with its '\0'. */
#define JSON_ERROR_MAX 128

struct json_member {
    const char *name;
    bool taken; /* the object has it, and its value is in text */
    char text[JSON_VALUE_MAX];
};

/* Reads the SIZE bytes at TEXT, which are followed by a '\0', as one object, and takes the N
 * MEMBERS, of which none may be in the object twice. The value of a member is taken if it is a
 * number or a string that fits and has no \u escape beyond ASCII. Any other value is not: null, an
 * array, ... Returns 0, or -EINVAL with the reason and its place in ERROR (JSON_ERROR_MAX bytes).
 */
int json_read_object(struct json_member *members, size_t n, const char *text, size_t size,
                     char *error);
