/* SPDX-License-Identifier: MIT */
#pragma once

/* What greetings take from the machine, fixed: the name of the host and the time zone. And the file
 * of MessageFile= as a greeting that is not compiled yet. */

#include <time.h>

#include "fuzz.h"
#include "greetd/greeting/greeting.h"

#define FUZZ_HOSTNAME "host.example"

int gethostname(char *name, size_t size)
{
    snprintf(name, size, "%s", FUZZ_HOSTNAME);
    return 0;
}

static inline void fuzz_set_time_zone(void)
{
    setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
    tzset();
}

/* Returns a greeting with a copy of SIZE BYTES, as greeting_new_from_file() makes it. */
static inline struct greeting *fuzz_file_greeting(const uint8_t *bytes, size_t size)
{
    struct greeting *greeting = greeting_new();

    PROPERTY(greeting);
    greeting->bytes = malloc(size + 1);
    PROPERTY(greeting->bytes);
    if (size > 0)
        memcpy(greeting->bytes, bytes, size);
    greeting->bytes[size] = '\0';
    greeting->size = size;
    return greeting;
}
