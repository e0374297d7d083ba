/* SPDX-License-Identifier: MIT */
#pragma once

/* The variables that a greeting may hold, each a row of a table. Names and values are those of
 * nginx (ngx_stream_core_module), so that a `return` line can be moved over. */

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "greetd/metrics/metrics.h"
#include "greetd/net/peer.h"

/* Room for the value of any constant variable, with its '\0'. */
#define VARIABLE_CONSTANT_MAX (HOST_NAME_MAX + 1)

/* What is known of a client when its greeting is made up. Borrowed. */
struct variable_client {
    const struct peer *peer;
    uint64_t number;               /* $connection */
    const struct metrics *metrics; /* $metrics */
};

struct variable {
    const char *name;
    /* The value is the same for every client: it is asked for when the configuration is loaded, and
     * without a client. */
    bool constant;
    /* Writes the value for CLIENT to BUFFER of SIZE bytes as snprintf(3) does: as much as there is
     * room for, with a '\0' if there is any room, and returns the length of the whole. */
    size_t (*write)(const struct variable_client *client, char *buffer, size_t size);
};

/* The variable called by the LENGTH bytes at NAME, or NULL. */
const struct variable *variable_find(const char *name, size_t length);

/* The name of the variable that may have been meant by NAME, or NULL if none is near. */
const char *variable_suggest(const char *name);

/* How many of the bytes from TEXT up to END a name can be made of: letters, digits and `_`, of
 * which the first is no digit. */
size_t variable_name_length(const char *text, const char *end);
