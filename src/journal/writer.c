/* SPDX-License-Identifier: MIT */
#include "greetd/journal/writer.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <time.h>

#include "greetd/base/clock.h"
#include "greetd/journal/catalog.h"
#include "greetd/journal/entry.h"
#include "greetd/metrics/metrics.h"

/* Entries taken from one ring before the next has its turn. */
#define WRITER_BATCH 256

/* After a write the thread sleeps for this long instead of being woken for each entry: each time it
 * may take the processor from a worker. Meanwhile a ring has room for 200,000 clients in a second.
 */
#define WRITER_NAP_NSEC 20000000

static uint64_t load(const atomic_uint_fast64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* Accounts for WRITTEN more connection entries, and for LOST ones, which may be earlier lines of
 * the sink's buffer, so the difference may be negative. A lost entry is accounted for when
 * announced. */
static void account(struct logger *logger, uint64_t written, uint64_t lost)
{
    metrics_add(&logger->metrics->log_dropped, lost);
    metrics_add(&logger->accounted, written - lost);
}

static void flush(struct logger *logger)
{
    account(logger, 0, sink_flush(logger->sink));
}

/* Flushes an entry other than a connection's, of which entry_write_*() has returned LOST. Returns
 * whether it is written. Such an entry never shares the sink's buffer with those of connections, so
 * that lost ones are of a known kind: flush() precedes it. */
static bool flush_entry(struct logger *logger, size_t lost)
{
    return lost + sink_flush(logger->sink) == 0;
}

static bool write_message(struct logger *logger, const struct log_message *message)
{
    const struct sink_entry entry = {
        .priority = message->priority,
        .id = message->id,
        .message = message->text,
        .when_usec = message->when_usec,
    };

    flush(logger);
    return flush_entry(logger, entry_write_message(logger->sink, message->listener, entry));
}

static void write_dropped_messages(struct logger *logger)
{
    struct log_message message = {
        .priority = LOG_NOTICE, .id = MESSAGE_ID_MESSAGES_DROPPED, .when_usec = clock_now()};
    uint64_t n = load(&logger->main.messages_dropped);

    for (unsigned i = 0; i < logger->metrics->n; i++)
        n += load(&logger->workers[i].messages_dropped);
    if (n == logger->messages_announced)
        return;
    snprintf(message.text, sizeof(message.text), "%" PRIu64 " messages left out: ring full",
             n - logger->messages_announced);
    if (write_message(logger, &message))
        logger->messages_announced = n;
}

/* An announcement that could not be written is part of the next one. */
static void announce_dropped(struct logger *logger, uint64_t n)
{
    flush(logger);
    if (!flush_entry(logger, entry_write_dropped(logger->sink, n)))
        return;
    logger->limit.announced += n;
    metrics_add(&logger->accounted, n);
}

/* Applies the limit in force and announces dropped entries if that is due. Returns when to do so
 * again. */
static uint64_t update_limit(struct logger *logger)
{
    struct rate_limit *limit = &logger->limit;
    uint64_t now_usec = clock_now();

    limit->settings = (struct rate_limit_settings){.interval_usec = load(&logger->interval_usec),
                                                   .burst = load(&logger->burst)};
    /* Before anything is written, which may take long. */
    atomic_store_explicit(&logger->limit_exceeded, rate_limit_is_exceeded(limit, now_usec),
                          memory_order_relaxed);
    uint64_t n = rate_limit_report(limit, metrics_log_dropped(logger->metrics), now_usec);
    if (n > 0)
        announce_dropped(logger, n);
    return rate_limit_deadline(limit, now_usec);
}

static void announce_rest(struct logger *logger)
{
    flush(logger);
    uint64_t n = metrics_log_dropped(logger->metrics) - logger->limit.announced;
    if (n > 0)
        announce_dropped(logger, n);
}

static bool drain_messages(struct logger *logger)
{
    struct log_message message;
    bool any = false;

    while (ring_pop(&logger->main.ring, &message)) {
        (void)write_message(logger, &message);
        any = true;
    }
    write_dropped_messages(logger);
    return any;
}

static void write_connection(struct logger *logger, unsigned worker,
                             const struct connection_record *connection)
{
    if (!rate_limit_admit(&logger->limit, clock_now())) {
        metrics_add(&logger->metrics->log_dropped, 1);
        return;
    }
    account(logger, 1, entry_write_connection(logger->sink, worker, connection));
}

/* Returns how many records it took. */
static unsigned drain_worker(struct logger *logger, unsigned worker)
{
    struct log_producer *producer = &logger->workers[worker];
    struct log_record record;
    unsigned n = 0;

    while (n < WRITER_BATCH && ring_pop(&producer->ring, &record)) {
        switch (record.kind) {
        case LOG_RECORD_CONNECTION:
            write_connection(logger, worker, &record.connection);
            break;
        case LOG_RECORD_ACCEPT_PAUSED:
            flush(logger);
            (void)flush_entry(logger, entry_write_accept_paused(logger->sink, worker, record.error,
                                                                record.when_usec));
            break;
        }
        n++;
    }
    return n;
}

/* Writes a batch of each ring's records. Returns the size of the largest batch: one of WRITER_BATCH
 * may have left more in its ring. */
static unsigned drain(struct logger *logger)
{
    unsigned most = drain_messages(logger);

    for (unsigned i = 0; i < logger->metrics->n; i++) {
        unsigned n = drain_worker(logger, i);
        most = n > most ? n : most;
    }
    return most;
}

/* Waits until a record arrives, or an announcement may be due. tests/models/scenarios/journal.c
 * tries all executions. */
static void wait_for_entries(struct logger *logger)
{
    waker_prepare(&logger->waker);
    if (drain(logger) > 0 || atomic_load(&logger->stop))
        waker_cancel(&logger->waker);
    else
        waker_sleep(&logger->waker, update_limit(logger));
}

void *writer_run(void *argument)
{
    struct logger *logger = argument;
    const struct timespec nap = {.tv_nsec = WRITER_NAP_NSEC};

    while (!atomic_load(&logger->stop)) {
        (void)update_limit(logger);
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
    announce_rest(logger);
    (void)eventfd_write(logger->ended_fd, 1);
    return NULL;
}
