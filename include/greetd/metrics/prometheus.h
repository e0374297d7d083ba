/* SPDX-License-Identifier: MIT */
#pragma once

/* The metrics as text, in the exposition format of Prometheus, version 0.0.4. For any thread, at
 * any time: nothing is locked or allocated, and what is read was counted while others go on
 * counting. Numbers are read in such an order that none contradicts another: no connection has
 * ended that was not accepted, no greeting is in the sum of times that is not in the count. */

#include <stddef.h>
#include <stdint.h>

#include "greetd/metrics/metrics.h"

/* What is told. */
struct prometheus {
    const struct metrics *metrics; /* borrowed */
    uint64_t log_suppressed;       /* entries that the connection log has left out so far */
};

/* Writes the text to BUFFER, at most SIZE bytes of it with the '\0' that ends it, and returns how
 * many bytes it takes without that, as snprintf(3) does. If that is not less than SIZE, the text
 * was cut off; the next one may be a little longer, since its numbers have grown. BUFFER may be
 * NULL if SIZE is 0. */
size_t prometheus_format(char *buffer, size_t size, const struct prometheus *what);
