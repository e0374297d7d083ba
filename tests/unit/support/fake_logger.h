/* SPDX-License-Identifier: MIT */
#pragma once

/* Stands in for connlog where a test wants to see what would be logged: these definitions win over
 * those of the library. For one source of a program, and one thread. */

#include <criterion/criterion.h>
#include <string.h>

#include "greetd/journal/logger.h"

static struct {
    struct logger_log_connection records[1024];
    size_t n;
    unsigned workers[1024]; /* whose story it is */
    int errors[64];
    size_t n_errors;
} last_status;

bool logger_wants_connections(const struct logger *logger)
{
    (void)logger;
    return true;
}

void logger_log_connection(struct logger *logger, unsigned worker,
                           const struct logger_log_connection *connection)
{
    (void)logger;
    cr_assert_lt(last_status.n, sizeof(last_status.records) / sizeof(last_status.records[0]));
    last_status.workers[last_status.n] = worker;
    last_status.records[last_status.n++] = *connection;
}

void logger_log_accept_paused(struct logger *logger, unsigned worker, int error)
{
    (void)logger;
    (void)worker;
    cr_assert_lt(last_status.n_errors, sizeof(last_status.errors) / sizeof(last_status.errors[0]));
    last_status.errors[last_status.n_errors++] = error;
}
