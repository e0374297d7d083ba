/* SPDX-License-Identifier: MIT */
#pragma once

/* A logger and a journal that can block. Include it in one source of a program only. */

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
#include "greetd/journal/record.h"
#include "greetd/metrics/result.h"
#include "support/fake_journal.h"
#include "support/logger_options.h"

/* A logger whose sink is a pipe. */
struct logger_fixture {
    struct sink sink;
    struct metrics *metrics;
    struct logger *logger;
    int pipe[2];
};

/* Logs a connection from PORT of 127.0.0.1. */
static inline void logger_fixture_log(struct logger_fixture *fixture, unsigned worker,
                                      uint16_t port)
{
    logger_log_connection(
        fixture->logger, worker,
        &(const struct connection_record){
            .listener = "server",
            .peer = {.family = AF_INET, .port = port, .in.s_addr = htonl(0x7f000001)},
            .number = 7,
            .duration_usec = 123,
            .bytes = 18,
            .bytes_acked = 11,
            .result = RESULT_PARTIAL,
        });
}

/* A journal that blocks from its first entry until UNBLOCKED is posted, and its messages. */
static struct {
    sem_t blocked, unblocked;
    char messages[16 * 1024][128];
    size_t n;
    atomic_int n_dropped;     /* announcements of dropped entries */
    atomic_int n_connections; /* entries of connections */
} blocking_journal;

static inline void blocking_journal_take(void)
{
    const char *message = strstr(fake_journal.last, "\nMESSAGE=") + strlen("\nMESSAGE=");

    cr_assert_lt(blocking_journal.n,
                 sizeof(blocking_journal.messages) / sizeof(blocking_journal.messages[0]));
    snprintf(blocking_journal.messages[blocking_journal.n++], sizeof(blocking_journal.messages[0]),
             "%.*s", (int)strcspn(message, "\n"), message);
    atomic_fetch_add(&blocking_journal.n_dropped, strstr(message, "left out") != NULL);
    atomic_fetch_add(&blocking_journal.n_connections, strncmp(message, "Connection", 10) == 0);
    if (blocking_journal.n == 1) {
        sem_post(&blocking_journal.blocked);
        sem_wait(&blocking_journal.unblocked);
    }
}

static inline void blocking_journal_unblock(void)
{
    sem_post(&blocking_journal.unblocked);
}

/* Returns how many messages begin with BEGIN. */
static inline size_t blocking_journal_count(const char *begin)
{
    size_t n = 0;

    for (size_t i = 0; i < blocking_journal.n; i++)
        n += strncmp(blocking_journal.messages[i], begin, strlen(begin)) == 0;
    return n;
}

/* Returns the sum of the numbers at the beginning of the messages that contain TEXT. */
static inline size_t blocking_journal_sum(const char *text)
{
    size_t sum = 0;

    for (size_t i = 0; i < blocking_journal.n; i++)
        if (strstr(blocking_journal.messages[i], text))
            sum += strtoul(blocking_journal.messages[i], NULL, 10);
    return sum;
}

/* Starts a logger with OPTIONS and blocks its thread in the journal. */
static inline void logger_fixture_open_blocked_with(struct logger_fixture *fixture,
                                                    unsigned n_workers,
                                                    const struct logger_options *options)
{
    sem_init(&blocking_journal.blocked, 0, 0);
    sem_init(&blocking_journal.unblocked, 0, 0);
    fake_journal.hook = blocking_journal_take;
    cr_assert_eq(pipe(fixture->pipe), 0);
    fake_journal_announce(fixture->pipe[1], 0);
    sink_init(&fixture->sink, fixture->pipe[1]);
    cr_assert_eq(metrics_new(&fixture->metrics, n_workers), 0);
    cr_assert_eq(logger_start(&fixture->logger, &fixture->sink, fixture->metrics, options), 0);
    logger_log(fixture->logger, LOG_CRIT, MESSAGE_ID_FAILED, "The journal blocks");
    sem_wait(&blocking_journal.blocked);
}

static inline void logger_fixture_open_blocked(struct logger_fixture *fixture, unsigned n_workers)
{
    logger_fixture_open_blocked_with(fixture, n_workers, &LOGGER_EVERYTHING);
}

static inline void logger_fixture_unblock_and_stop(struct logger_fixture *fixture)
{
    blocking_journal_unblock();
    cr_assert_eq(logger_stop(fixture->logger, USEC_INFINITY), 0);
}
