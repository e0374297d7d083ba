/* SPDX-License-Identifier: MIT */
#pragma once

/* A prometheus_format() that a test chooses, in place of that of the library: the value of
 * $metrics. Include it in one source of a program only. */

#include <stdlib.h>

#include "greetd/metrics/prometheus.h"

static inline size_t fake_prometheus_empty(char *buffer, size_t size)
{
    if (size > 0)
        buffer[0] = '\0';
    return 0;
}

static size_t (*fake_prometheus)(char *buffer, size_t size) = fake_prometheus_empty;

size_t prometheus_format(char *buffer, size_t size, const struct metrics *metrics)
{
    (void)metrics;
    return fake_prometheus(buffer, size);
}

/* Returns a size that no rendered greeting may have. */
static inline size_t fake_prometheus_endless(char *buffer, size_t size)
{
    (void)buffer;
    (void)size;
    return (size_t)UINT32_MAX;
}
