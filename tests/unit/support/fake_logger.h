/* SPDX-License-Identifier: MIT */
#pragma once

/* A logger that keeps the records, in place of that of the library. Include it in one source of a
 * program only; only one thread may log. */

#include <criterion/criterion.h>
#include <string.h>

#include "greetd/journal/logger.h"
#include "greetd/journal/record.h"

static struct {
    struct connection_record records[1024];
    size_t n;
    unsigned workers[1024]; /* the worker of each record */
    int errors[64];
    size_t n_errors;
    bool excludes_connections; /* its level does */
} fake_logger;

bool logger_wants_connections(const struct logger *logger)
{
    (void)logger;
    return !fake_logger.excludes_connections;
}

void logger_log_connection(struct logger *logger, unsigned worker,
                           const struct connection_record *connection)
{
    (void)logger;
    cr_assert_lt(fake_logger.n, sizeof(fake_logger.records) / sizeof(fake_logger.records[0]));
    fake_logger.workers[fake_logger.n] = worker;
    fake_logger.records[fake_logger.n++] = *connection;
}

void logger_log_accept_paused(struct logger *logger, unsigned worker, int error)
{
    (void)logger;
    (void)worker;
    cr_assert_lt(fake_logger.n_errors, sizeof(fake_logger.errors) / sizeof(fake_logger.errors[0]));
    fake_logger.errors[fake_logger.n_errors++] = error;
}
