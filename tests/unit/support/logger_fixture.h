/* SPDX-License-Identifier: MIT */
#pragma once

/* The log thread and a journal that can block. For one source of a program. */

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

static inline void log_connection(struct logger_fixture *fixture, unsigned worker, uint16_t port)
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

/* A journal that blocks from its first entry until it is unblocked, and the messages it got. */
static struct {
    sem_t blocked, unblocked;
    char messages[16 * 1024][128];
    size_t n;
    atomic_int n_dropped;     /* announcements of dropped ones */
    atomic_int n_connections; /* entries of connections */
} blocking;

static inline void block(void)
{
    const char *message = strstr(fake_journal.last, "\nMESSAGE=") + strlen("\nMESSAGE=");

    cr_assert_lt(blocking.n, sizeof(blocking.messages) / sizeof(blocking.messages[0]));
    snprintf(blocking.messages[blocking.n++], sizeof(blocking.messages[0]), "%.*s",
             (int)strcspn(message, "\n"), message);
    atomic_fetch_add(&blocking.n_dropped, strstr(message, "left out") != NULL);
    atomic_fetch_add(&blocking.n_connections, strncmp(message, "Connection", 10) == 0);
    if (blocking.n == 1) {
        sem_post(&blocking.blocked);
        sem_wait(&blocking.unblocked);
    }
}

static inline void start_blocked_with(struct logger_fixture *fixture, unsigned n_workers,
                                      const struct logger_options *options)
{
    sem_init(&blocking.blocked, 0, 0);
    sem_init(&blocking.unblocked, 0, 0);
    fake_journal.hook = block;
    cr_assert_eq(pipe(fixture->pipe), 0);
    fake_journal_announce(fixture->pipe[1], 0);
    sink_init(&fixture->sink, fixture->pipe[1]);
    cr_assert_eq(metrics_new(&fixture->metrics, n_workers), 0);
    cr_assert_eq(logger_start(&fixture->logger, &fixture->sink, fixture->metrics, options), 0);
    logger_log(fixture->logger, LOG_CRIT, MESSAGE_ID_FAILED, "The journal blocks");
    sem_wait(&blocking.blocked);
}

static inline void start_blocked(struct logger_fixture *fixture, unsigned n_workers)
{
    start_blocked_with(fixture, n_workers, &LOGGER_EVERYTHING);
}

static inline void unblock_and_stop(struct logger_fixture *fixture)
{
    sem_post(&blocking.unblocked);
    cr_assert_eq(logger_stop(fixture->logger, USEC_INFINITY), 0);
}

/* The sum of the numbers that the messages ending with END begin with. */
static inline size_t sum_of(const char *end)
{
    size_t sum = 0;

    for (size_t i = 0; i < blocking.n; i++)
        if (strstr(blocking.messages[i], end))
            sum += strtoul(blocking.messages[i], NULL, 10);
    return sum;
}

static inline size_t n_with(const char *begin)
{
    size_t n = 0;

    for (size_t i = 0; i < blocking.n; i++)
        n += strncmp(blocking.messages[i], begin, strlen(begin)) == 0;
    return n;
}
