/* SPDX-License-Identifier: MIT */
#pragma once

/* The log's thread and a journal of the test's own, which can stand still. For one source of a
 * program. */

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "greetd/base/clock.h"
#include "greetd/journal/catalog.h"
#include "greetd/journal/logger.h"
#include "greetd/metrics/result.h"
#include "support/fake_journal.h"
#include "support/logger_options.h"

/* A log whose other end is a pipe. */
struct logger_fixture {
    struct sink sink;
    struct logger *logger;
    int pipe[2];
};

static inline void log_connection(struct logger_fixture *fixture, unsigned worker, uint16_t port)
{
    logger_log_connection(
        fixture->logger, worker,
        &(const struct logger_log_connection){
            .listener = "server",
            .peer = {.family = AF_INET, .port = port, .in.s_addr = htonl(0x7f000001)},
            .number = 7,
            .duration_usec = 123,
            .bytes = 18,
            .bytes_acked = 11,
            .result = RESULT_PARTIAL,
        });
}

/* A journal that stands still from its first entry on until it is let go, and the messages it has
 * had. */
static struct {
    sem_t stands_still, goes_on;
    char messages[16 * 1024][128];
    size_t n;
    atomic_int n_left_out;    /* messages that say that some were left out */
    atomic_int n_connections; /* messages about one */
} stuck;

static inline void stick(void)
{
    const char *message = strstr(fake_journal.last, "\nMESSAGE=") + strlen("\nMESSAGE=");

    cr_assert_lt(stuck.n, sizeof(stuck.messages) / sizeof(stuck.messages[0]));
    snprintf(stuck.messages[stuck.n++], sizeof(stuck.messages[0]), "%.*s",
             (int)strcspn(message, "\n"), message);
    atomic_fetch_add(&stuck.n_left_out, strstr(message, "left out") != NULL);
    atomic_fetch_add(&stuck.n_connections, strncmp(message, "Connection", 10) == 0);
    if (stuck.n == 1) {
        sem_post(&stuck.stands_still);
        sem_wait(&stuck.goes_on);
    }
}

static inline void start_stuck_with(struct logger_fixture *fixture, unsigned n_workers,
                                    const struct logger_options *options)
{
    sem_init(&stuck.stands_still, 0, 0);
    sem_init(&stuck.goes_on, 0, 0);
    fake_journal.hook = stick;
    cr_assert_eq(pipe(fixture->pipe), 0);
    fake_journal_announce(fixture->pipe[1], 0);
    sink_init(&fixture->sink, fixture->pipe[1]);
    cr_assert_eq(logger_start(&fixture->logger, &fixture->sink, n_workers, options), 0);
    logger_log(fixture->logger, LOG_CRIT, MESSAGE_ID_FAILED, "It stands still");
    sem_wait(&stuck.stands_still);
}

static inline void start_stuck(struct logger_fixture *fixture, unsigned n_workers)
{
    start_stuck_with(fixture, n_workers, &LOGGER_EVERYTHING);
}

static inline void go_on_and_stop(struct logger_fixture *fixture)
{
    sem_post(&stuck.goes_on);
    cr_assert_eq(logger_stop(fixture->logger, USEC_INFINITY), 0);
}

/* The sum of the numbers that the messages ending with END begin with. */
static inline size_t sum_of(const char *end)
{
    size_t sum = 0;

    for (size_t i = 0; i < stuck.n; i++)
        if (strstr(stuck.messages[i], end))
            sum += strtoul(stuck.messages[i], NULL, 10);
    return sum;
}

static inline size_t n_with(const char *begin)
{
    size_t n = 0;

    for (size_t i = 0; i < stuck.n; i++)
        n += strncmp(stuck.messages[i], begin, strlen(begin)) == 0;
    return n;
}
