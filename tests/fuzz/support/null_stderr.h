/* SPDX-License-Identifier: MIT */
#pragma once

/* Passes over what greet prints to standard error, while the fuzzer and PROPERTY() still print
 * there. */

#include "../fuzz.h"

/* Has stderr lead nowhere, and returns what it was. */
static inline FILE *null_stderr(void)
{
    static FILE *null;
    FILE *before = stderr;

    if (!null)
        null = fopen("/dev/null", "we");
    PROPERTY(null);
    stderr = null;
    return before;
}
