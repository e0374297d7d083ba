/* SPDX-License-Identifier: MIT */
#include "greetd/journal/writer.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <time.h>

#include "greetd/base/clock.h"
#include "greetd/journal/catalog.h"
#include "greetd/metrics/metrics.h"

/* Entries taken from one ring before the next has its turn. */
#define WRITER_BATCH 256

/* Having written something, the thread looks again after this rather than being woken for each
 * entry. Each time it may take the processor from a worker; a ring has room for what comes
 * meanwhile up to 200,000 clients in a second. */
#define WRITER_NAP_NSEC 20000000

static uint64_t load(const atomic_uint_fast64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

uint64_t writer_dropped(const struct logger *logger)
{
    uint64_t n = load(&logger->left_out);

    for (unsigned i = 0; i < logger->n_workers; i++)
        n += load(&logger->workers[i].left_out);
    return n;
}

/* WRITTEN more connections were given to the log, which has LOST some: perhaps others that it had
 * gathered, so that the difference may be negative. They are accounted for when announced. */
static void account(struct logger *logger, uint64_t written, uint64_t lost)
{
    metrics_add(&logger->left_out, lost);
    metrics_add(&logger->accounted, written - lost);
}

static void flush(struct logger *logger)
{
    account(logger, 0, sink_flush(logger->sink));
}

/* Entries for connections and others are never gathered together, so that it is known of which kind
 * the lost ones are: flush() comes before one of the others, and this after it. LOST is what
 * connlog_entry_*() returned for it. */
static bool is_written(struct logger *logger, size_t lost)
{
    return lost + sink_flush(logger->sink) == 0;
}

static bool write_message(struct logger *logger, const struct logger_log *message)
{
    const struct sink_entry entry = {
        .priority = message->priority,
        .id = message->id,
        .message = message->text,
        .when_usec = message->when_usec,
    };

    flush(logger);
    return is_written(logger, entry_write_message(logger->sink, message->listener, entry));
}

static void write_left_out_messages(struct logger *logger)
{
    struct logger_log message = {
        .priority = LOG_NOTICE, .id = MESSAGE_ID_MESSAGES_DROPPED, .when_usec = clock_now()};
    uint64_t n = load(&logger->messages.messages_left_out);

    for (unsigned i = 0; i < logger->n_workers; i++)
        n += load(&logger->workers[i].messages_left_out);
    if (n == logger->messages_announced)
        return;
    snprintf(message.text, sizeof(message.text), "%" PRIu64 " messages left out: ring full",
             n - logger->messages_announced);
    if (write_message(logger, &message))
        logger->messages_announced = n;
}

/* What could not be written is announced with the next report. */
static void announce_left_out(struct logger *logger, uint64_t n)
{
    flush(logger);
    if (!is_written(logger, entry_write_dropped(logger->sink, n)))
        return;
    logger->books.announced += n;
    metrics_add(&logger->accounted, n);
}

/* Takes up the limit in force and announces what is due to be. Returns when to do so again. */
static uint64_t keep_books(struct logger *logger)
{
    struct rate_limit *books = &logger->books;
    uint64_t now_usec = clock_now();

    books->limit = (struct rate_limit_settings){.interval_usec = load(&logger->interval_usec),
                                                .burst = load(&logger->burst)};
    /* Before anything is written, which may take long. */
    atomic_store_explicit(&logger->exhausted, rate_limit_is_exceeded(books, now_usec),
                          memory_order_relaxed);
    uint64_t n = rate_limit_report(books, writer_dropped(logger), now_usec);
    if (n > 0)
        announce_left_out(logger, n);
    return rate_limit_deadline(books, now_usec);
}

static void close_books(struct logger *logger)
{
    uint64_t n = writer_dropped(logger) - logger->books.announced;

    flush(logger);
    if (n > 0)
        announce_left_out(logger, n);
}

static bool drain_messages(struct logger *logger)
{
    struct logger_log message;
    bool any = false;

    while (ring_pop(&logger->messages.ring, &message)) {
        (void)write_message(logger, &message);
        any = true;
    }
    write_left_out_messages(logger);
    return any;
}

static void write_connection(struct logger *logger, unsigned worker,
                             const struct logger_log_connection *connection)
{
    if (!rate_limit_admit(&logger->books, clock_now())) {
        metrics_add(&logger->left_out, 1);
        return;
    }
    account(logger, 1, entry_write_connection(logger->sink, worker, connection));
}

/* Returns how many records it took. */
static unsigned drain_worker(struct logger *logger, unsigned worker)
{
    struct log_producer *outlet = &logger->workers[worker];
    struct log_record record;
    unsigned n = 0;

    while (n < WRITER_BATCH && ring_pop(&outlet->ring, &record)) {
        switch (record.kind) {
        case LOG_RECORD_CONNECTION:
            write_connection(logger, worker, &record.connection);
            break;
        case LOG_RECORD_ACCEPT_PAUSED:
            flush(logger);
            (void)is_written(logger, entry_write_accept_paused(logger->sink, worker, record.error,
                                                               record.when_usec));
            break;
        }
        n++;
    }
    return n;
}

/* Writes a batch of each ring's entries. Returns the size of the largest one: with WRITER_BATCH
 * there may be more where it came from. */
static unsigned drain(struct logger *logger)
{
    unsigned most = drain_messages(logger);

    for (unsigned i = 0; i < logger->n_workers; i++) {
        unsigned n = drain_worker(logger, i);
        most = n > most ? n : most;
    }
    return most;
}

/* Waits until an entry comes, or it is time to look at the books. */
static void wait_for_entries(struct logger *logger)
{
    waker_prepare(&logger->waker);
    if (drain(logger) > 0 || atomic_load(&logger->stop))
        waker_cancel(&logger->waker);
    else
        waker_sleep(&logger->waker, keep_books(logger));
}

void *writer_run(void *argument)
{
    struct logger *logger = argument;
    const struct timespec nap = {.tv_nsec = WRITER_NAP_NSEC};

    while (!atomic_load(&logger->stop)) {
        (void)keep_books(logger);
        unsigned n = drain(logger);
        if (n == WRITER_BATCH)
            continue;
        flush(logger);
        if (n > 0)
            clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, NULL);
        else
            wait_for_entries(logger);
    }

    while (drain(logger) > 0)
        ;
    close_books(logger);
    (void)eventfd_write(logger->ended_fd, 1);
    return NULL;
}
