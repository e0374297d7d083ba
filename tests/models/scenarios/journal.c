/* SPDX-License-Identifier: MIT */

/* journal/logger and journal/writer: each connection that is logged has an entry, or is announced
 * as dropped, exactly once, and the log thread never sleeps while there is one to write. The rings
 * have room for one record. The journal takes everything.
 *
 * sources: journal/logger journal/writer journal/rate_limit base/ring base/waker metrics/metrics */

#include "greetd/journal/logger.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "../checker/scenario.h"
#include "greetd/base/clock.h"
#include "greetd/journal/catalog.h"
#include "greetd/journal/entry.h"
#include "greetd/journal/writer.h"

#define WORKERS_MAX 2

/* In place of the sink. */
struct journal {
    int fd; /* an eventfd: entries for connections, and connections announced as dropped */
    uint64_t n_written, n_announced;
};

struct shared {
    struct logger *logger;
    struct journal *journal;
    struct metrics *metrics;
    unsigned n_workers, n_each; /* connections of each worker */
};

struct worker {
    struct shared *shared;
    unsigned index;
};

static struct journal *journal_of(struct sink *sink)
{
    return (struct journal *)(void *)sink;
}

size_t entry_write_connection(struct sink *sink, unsigned worker,
                              const struct connection_record *record)
{
    (void)worker;
    expect(record->number == record->bytes, "torn record");
    journal_of(sink)->n_written++;
    (void)eventfd_write(journal_of(sink)->fd, 1);
    return 0;
}

size_t entry_write_dropped(struct sink *sink, uint64_t n)
{
    expect(n < 100, "negative number of dropped connections");
    journal_of(sink)->n_announced += n;
    (void)eventfd_write(journal_of(sink)->fd, n);
    return 0;
}

size_t entry_write_accept_paused(struct sink *sink, unsigned worker, int error, uint64_t when_usec)
{
    (void)sink;
    (void)worker;
    (void)error;
    (void)when_usec;
    return 0;
}

size_t entry_write_message(struct sink *sink, const char *listener, struct sink_entry entry)
{
    uint64_t n =
        strcmp(entry.id, MESSAGE_ID_MESSAGES_DROPPED) == 0 ? strtoull(entry.message, NULL, 10) : 1;

    (void)listener;
    journal_of(sink)->n_written += n;
    (void)eventfd_write(journal_of(sink)->fd, n);
    return 0;
}

size_t sink_flush(struct sink *sink)
{
    (void)sink;
    return 0;
}

void sink_try_write(const struct sink *sink, int priority, const char *message)
{
    (void)sink;
    (void)priority;
    (void)message;
    expect(false, "connection neither written nor announced");
}

static struct shared *shared_new(unsigned n_workers, unsigned n_each, uint64_t burst)
{
    struct shared *shared = calloc(1, sizeof(*shared));
    struct logger *logger =
        aligned_alloc(RING_CACHE_LINE, sizeof(*logger) + n_workers * sizeof(struct log_producer));

    *shared = (struct shared){.logger = logger, .n_workers = n_workers, .n_each = n_each};
    (void)metrics_new(&shared->metrics, n_workers);
    shared->journal = calloc(1, sizeof(*shared->journal));
    shared->journal->fd = eventfd(0, EFD_CLOEXEC);
    logger->sink = (struct sink *)(void *)shared->journal;
    logger->metrics = shared->metrics;
    logger->ended_fd = eventfd(0, EFD_CLOEXEC);
    (void)waker_init(&logger->waker);
    (void)ring_init(&logger->main.ring, 1, sizeof(struct log_message));
    for (unsigned i = 0; i < n_workers; i++)
        (void)ring_init(&logger->workers[i].ring, 1, sizeof(struct log_record));
    logger_configure(
        logger, &(const struct logger_options){
                    .level = LOG_INFO, .limit = {.interval_usec = USEC_PER_SEC, .burst = burst}});
    logger->limit = rate_limit_init(&(const struct rate_limit_settings){0});
    pthread_create(&logger->thread, NULL, writer_run, logger);
    return shared;
}

static void *log_connections(void *argument)
{
    const struct worker *worker = argument;

    for (unsigned i = 0; i < worker->shared->n_each; i++)
        logger_log_connection(worker->shared->logger, worker->index,
                              &(const struct connection_record){.number = i + 1, .bytes = i + 1});
    return NULL;
}

/* Returns when N are in the journal. */
static void await_journal(const struct shared *shared, uint64_t n)
{
    for (uint64_t sum = 0; sum < n;) {
        eventfd_t more;

        (void)eventfd_read(shared->journal->fd, &more);
        sum += more;
    }
}

/* Starts the workers; the log thread sleeps if it is IDLE. */
static struct shared *start(unsigned n_workers, unsigned n_each, uint64_t burst, bool idle,
                            pthread_t *threads)
{
    struct shared *shared = shared_new(n_workers, n_each, burst);
    struct worker *workers = calloc(n_workers, sizeof(*workers));

    if (idle)
        settle();
    for (unsigned i = 0; i < n_workers; i++) {
        workers[i] = (struct worker){.shared = shared, .index = i};
        pthread_create(&threads[i], NULL, log_connections, &workers[i]);
    }
    return shared;
}

/* The log thread is not told to stop. */
static void run(unsigned n_workers, unsigned n_each, uint64_t burst, bool idle)
{
    pthread_t threads[WORKERS_MAX];
    struct shared *shared = start(n_workers, n_each, burst, idle, threads);

    await_journal(shared, n_workers * n_each);
    finish();
}

static void first_connection_is_written(void)
{
    run(1, 1, UINT64_MAX, false);
}

static void full_ring_is_announced(void)
{
    run(1, 2, UINT64_MAX, SHORT_OR_LONG(true, false));
}

static void rate_limit_is_announced(void)
{
    run(1, 2, 1, SHORT_OR_LONG(true, false));
}

static void two_workers_log(void)
{
    run(2, 1, UINT64_MAX, true);
}

/* The log thread is told to stop when the worker has ended. BEFORE: one connection was written, and
 * the limit is reached. */
static void run_and_stop(unsigned n_each, bool before)
{
    pthread_t thread;
    struct shared *shared = shared_new(1, 1, before ? 1 : UINT64_MAX);
    struct worker *worker = calloc(1, sizeof(*worker));

    *worker = (struct worker){.shared = shared};
    if (before) {
        (void)log_connections(worker);
        settle();
    }
    shared->n_each = n_each;
    pthread_create(&thread, NULL, log_connections, worker);
    pthread_join(thread, NULL);
    (void)logger_stop(shared->logger, USEC_INFINITY);
    expect(shared->journal->n_written + shared->journal->n_announced == n_each + before,
           "connection lost or doubled");
    metrics_free(shared->metrics);
}

static void stop_writes_the_rest(void)
{
    run_and_stop(1, false);
}

static void stop_announces_the_rest(void)
{
    run_and_stop(SHORT_OR_LONG(1, 2), true);
}

/* The first thread is the main thread, which logs messages. */
static void full_ring_of_messages_is_announced(void)
{
    struct shared *shared = shared_new(1, 0, UINT64_MAX);

    settle();
    for (unsigned i = 0; i < 2; i++)
        logger_log(shared->logger, LOG_INFO, MESSAGE_ID_LISTENING, "%u", i);
    await_journal(shared, 2);
    finish();
}

const struct scenario scenarios[] = {
    {.name = "first_connection_is_written", .run = first_connection_is_written},
    {.name = "full_ring_is_announced", .run = full_ring_is_announced},
    {.name = "rate_limit_is_announced", .run = rate_limit_is_announced},
    {.name = "stop_writes_the_rest", .run = stop_writes_the_rest},
    {.name = "stop_announces_the_rest", .run = stop_announces_the_rest},
    {.name = "full_ring_of_messages_is_announced", .run = full_ring_of_messages_is_announced},
    {.name = "two_workers_log", .run = two_workers_log},
    {0},
};
