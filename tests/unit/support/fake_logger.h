/* SPDX-License-Identifier: MIT */
#pragma once

/* Stands in for connlog where a test wants to see what would be logged: these definitions win over
 * those of the library. For one source of a program, and one thread. */

#include <criterion/criterion.h>
#include <string.h>

#include "greetd/journal/logger.h"

static struct {
    struct connlog_connection stories[1024];
    size_t n;
    unsigned workers[1024]; /* whose story it is */
    int errors[64];
    size_t n_errors;
} told;

bool connlog_wants_connections(const struct connlog *connlog)
{
    (void)connlog;
    return true;
}

void connlog_connection(struct connlog *connlog, unsigned worker,
                        const struct connlog_connection *connection)
{
    (void)connlog;
    cr_assert_lt(told.n, sizeof(told.stories) / sizeof(told.stories[0]));
    told.workers[told.n] = worker;
    told.stories[told.n++] = *connection;
}

void connlog_exhausted(struct connlog *connlog, unsigned worker, int error)
{
    (void)connlog;
    (void)worker;
    cr_assert_lt(told.n_errors, sizeof(told.errors) / sizeof(told.errors[0]));
    told.errors[told.n_errors++] = error;
}
