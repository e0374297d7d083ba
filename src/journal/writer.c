/* SPDX-License-Identifier: MIT */
#include "greetd/journal/writer.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <time.h>

#include "greetd/base/timeout_queue.h"
#include "greetd/metrics/metrics.h"

/* Entries taken from one ring before the next has its turn. */
#define CONNLOG_BATCH 256

/* Having written something, the thread looks again after this rather than being woken for each
 * entry. Each time it may take the processor from a worker; a ring has room for what comes
 * meanwhile up to 200,000 clients in a second. */
#define CONNLOG_NAP_NSEC 20000000

static uint64_t load(const atomic_uint_fast64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

uint64_t connlog_thread_left_out(const struct connlog *connlog)
{
    uint64_t n = load(&connlog->left_out);

    for (unsigned i = 0; i < connlog->n_workers; i++)
        n += load(&connlog->workers[i].left_out);
    return n;
}

/* WRITTEN more connections were given to the log, which has LOST some: perhaps others that it had
 * gathered, so that the difference may be negative. They are accounted for when announced. */
static void account(struct connlog *connlog, uint64_t written, uint64_t lost)
{
    metrics_add(&connlog->left_out, lost);
    metrics_add(&connlog->accounted, written - lost);
}

static void flush(struct connlog *connlog)
{
    account(connlog, 0, log_flush(connlog->log));
}

/* Entries for connections and others are never gathered together, so that it is known of which kind
 * the lost ones are: flush() comes before one of the others, and this after it. LOST is what
 * connlog_entry_*() returned for it. */
static bool is_written(struct connlog *connlog, size_t lost)
{
    return lost + log_flush(connlog->log) == 0;
}

static bool write_message(struct connlog *connlog, const struct connlog_message *message)
{
    const struct log_entry entry = {
        .priority = message->priority,
        .id = message->id,
        .message = message->text,
        .when_usec = message->when_usec,
    };

    flush(connlog);
    return is_written(connlog, connlog_entry_message(connlog->log, message->listener, entry));
}

static void write_left_out_messages(struct connlog *connlog)
{
    struct connlog_message message = {
        .priority = LOG_NOTICE, .id = LOG_ID_UNSAID, .when_usec = deadline_now()};
    uint64_t n = load(&connlog->messages.messages_left_out);

    for (unsigned i = 0; i < connlog->n_workers; i++)
        n += load(&connlog->workers[i].messages_left_out);
    if (n == connlog->messages_announced)
        return;
    snprintf(message.text, sizeof(message.text), "%" PRIu64 " messages left out: ring full",
             n - connlog->messages_announced);
    if (write_message(connlog, &message))
        connlog->messages_announced = n;
}

/* What could not be written is announced with the next report. */
static void announce_left_out(struct connlog *connlog, uint64_t n)
{
    flush(connlog);
    if (!is_written(connlog, connlog_entry_left_out(connlog->log, n)))
        return;
    connlog->books.announced += n;
    metrics_add(&connlog->accounted, n);
}

/* Takes up the limit in force and announces what is due to be. Returns when to do so again. */
static uint64_t keep_books(struct connlog *connlog)
{
    struct connlog_books *books = &connlog->books;
    uint64_t now_usec = deadline_now();

    books->limit = (struct connlog_limit){.interval_usec = load(&connlog->interval_usec),
                                          .burst = load(&connlog->burst)};
    /* Before anything is written, which may take long. */
    atomic_store_explicit(&connlog->exhausted, connlog_books_exhausted(books, now_usec),
                          memory_order_relaxed);
    uint64_t n = connlog_books_report(books, connlog_thread_left_out(connlog), now_usec);
    if (n > 0)
        announce_left_out(connlog, n);
    return connlog_books_deadline(books, now_usec);
}

static void close_books(struct connlog *connlog)
{
    uint64_t n = connlog_thread_left_out(connlog) - connlog->books.announced;

    flush(connlog);
    if (n > 0)
        announce_left_out(connlog, n);
}

static bool drain_messages(struct connlog *connlog)
{
    struct connlog_message message;
    bool any = false;

    while (ring_pop(&connlog->messages.ring, &message)) {
        (void)write_message(connlog, &message);
        any = true;
    }
    write_left_out_messages(connlog);
    return any;
}

static void write_connection(struct connlog *connlog, unsigned worker,
                             const struct connlog_connection *connection)
{
    if (!connlog_books_admit(&connlog->books, deadline_now())) {
        metrics_add(&connlog->left_out, 1);
        return;
    }
    account(connlog, 1, connlog_entry_connection(connlog->log, worker, connection));
}

/* Returns how many records it took. */
static unsigned drain_worker(struct connlog *connlog, unsigned worker)
{
    struct connlog_outlet *outlet = &connlog->workers[worker];
    struct connlog_record record;
    unsigned n = 0;

    while (n < CONNLOG_BATCH && ring_pop(&outlet->ring, &record)) {
        switch (record.kind) {
        case CONNLOG_RECORD_CONNECTION:
            write_connection(connlog, worker, &record.connection);
            break;
        case CONNLOG_RECORD_EXHAUSTED:
            flush(connlog);
            (void)is_written(connlog, connlog_entry_exhausted(connlog->log, worker, record.error,
                                                              record.when_usec));
            break;
        }
        n++;
    }
    return n;
}

/* Writes a batch of each ring's entries. Returns the size of the largest one: with CONNLOG_BATCH
 * there may be more where it came from. */
static unsigned drain(struct connlog *connlog)
{
    unsigned most = drain_messages(connlog);

    for (unsigned i = 0; i < connlog->n_workers; i++) {
        unsigned n = drain_worker(connlog, i);
        most = n > most ? n : most;
    }
    return most;
}

/* Waits until an entry comes, or it is time to look at the books. */
static void wait_for_entries(struct connlog *connlog)
{
    waker_prepare(&connlog->waker);
    if (drain(connlog) > 0 || atomic_load(&connlog->stop))
        waker_cancel(&connlog->waker);
    else
        waker_sleep(&connlog->waker, keep_books(connlog));
}

void *connlog_thread_run(void *argument)
{
    struct connlog *connlog = argument;
    const struct timespec nap = {.tv_nsec = CONNLOG_NAP_NSEC};

    while (!atomic_load(&connlog->stop)) {
        (void)keep_books(connlog);
        unsigned n = drain(connlog);
        if (n == CONNLOG_BATCH)
            continue;
        flush(connlog);
        if (n > 0)
            clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, NULL);
        else
            wait_for_entries(connlog);
    }

    while (drain(connlog) > 0)
        ;
    close_books(connlog);
    (void)eventfd_write(connlog->ended_fd, 1);
    return NULL;
}
