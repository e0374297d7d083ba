/* SPDX-License-Identifier: MIT */
#pragma once

/* The metrics as text, in the exposition format of Prometheus, version 0.0.4. For any thread, at
 * any time: nothing is locked or allocated, while other threads go on counting. The numbers are
 * read in an order in which none contradicts another: each connection that has ended was accepted,
 * and each greeting in the sum of times is in the count. */

#include <stddef.h>

#include "greetd/metrics/metrics.h"

/* Writes the text to BUFFER as snprintf(3) does: at most SIZE bytes, with the '\0' that ends it.
 * Returns the length of the whole text without its '\0'; if that is not less than SIZE, the text
 * was cut. The next text may be a little longer, since its numbers have grown. BUFFER may be NULL
 * if SIZE is 0. */
size_t prometheus_format(char *buffer, size_t size, const struct metrics *metrics);
