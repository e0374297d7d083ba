/* SPDX-License-Identifier: MIT */
#include "greetd/connlog_thread.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <time.h>

#include "greetd/deadline.h"
#include "greetd/metrics.h"

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

struct connlog_left_out connlog_thread_left_out(const struct connlog *connlog)
{
    struct connlog_left_out sum = {.n[CONNLOG_RATE_LIMIT] = load(&connlog->rate_limited)};

    for (unsigned i = 0; i < connlog->n_workers; i++)
        for (unsigned reason = 0; reason < CONNLOG_REASON_N; reason++)
            sum.n[reason] += load(&connlog->workers[i].left_out[reason]);
    return sum;
}

static void write_left_out_messages(struct connlog *connlog)
{
    char text[LOG_MESSAGE_MAX];
    uint64_t n = load(&connlog->messages.messages_left_out);

    for (unsigned i = 0; i < connlog->n_workers; i++)
        n += load(&connlog->workers[i].messages_left_out);
    if (n == connlog->messages_announced)
        return;
    snprintf(text, sizeof(text), "%" PRIu64 " messages left out: ring full",
             n - connlog->messages_announced);
    connlog_entry_message(connlog->log, LOG_NOTICE, LOG_ID_LEFT_OUT, "", text);
    connlog->messages_announced = n;
}

static void announce_left_out(struct connlog *connlog, const struct connlog_left_out *total,
                              uint64_t now_usec)
{
    char text[LOG_MESSAGE_MAX];
    uint64_t n = connlog_books_format(&connlog->books, total, now_usec, text, sizeof(text));

    connlog_entry_message(connlog->log, LOG_NOTICE, LOG_ID_LEFT_OUT, "", text);
    connlog_books_settle(&connlog->books, total, now_usec);
    metrics_add(&connlog->accounted, n);
}

/* Announces what is due to be, or whatever there is if this is the END. Returns when to look
 * again. */
static uint64_t keep_books(struct connlog *connlog, bool end)
{
    struct connlog_books *books = &connlog->books;
    uint64_t now_usec = deadline_now();
    struct connlog_left_out total = connlog_thread_left_out(connlog);

    books->limit = (struct connlog_limit){.interval_usec = load(&connlog->interval_usec),
                                          .burst = load(&connlog->burst)};
    /* Before anything is written, which may take long. */
    atomic_store_explicit(&connlog->exhausted, connlog_books_exhausted(books, now_usec),
                          memory_order_relaxed);
    bool pending = connlog_books_look(books, &total, now_usec);
    if (pending && (end || connlog_books_due(books, now_usec))) {
        announce_left_out(connlog, &total, now_usec);
        pending = false;
    }
    return connlog_books_deadline(books, pending, now_usec);
}

static bool drain_messages(struct connlog *connlog)
{
    struct connlog_message message;
    bool any = false;

    while (ring_pop(&connlog->messages.ring, &message)) {
        connlog_entry_message(connlog->log, message.priority, message.id, message.listener,
                              message.text);
        any = true;
    }
    write_left_out_messages(connlog);
    return any;
}

static void write_connection(struct connlog *connlog, unsigned worker,
                             const struct connlog_connection *connection)
{
    if (!connlog_books_admit(&connlog->books, deadline_now())) {
        metrics_add(&connlog->rate_limited, 1);
        return;
    }
    connlog_entry_connection(connlog->log, worker, connection);
    metrics_add(&connlog->accounted, 1);
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
            connlog_entry_exhausted(connlog->log, worker, record.error);
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

/* Waits until someone has put an entry into a ring, or it is time to look at the books. Returns
 * false if there is an entry by now. */
static bool wait_for_entries(struct connlog *connlog)
{
    waker_prepare(&connlog->waker);
    if (drain(connlog) > 0 || atomic_load(&connlog->stop)) {
        waker_cancel(&connlog->waker);
        return false;
    }
    uint64_t deadline_usec = keep_books(connlog, false);
    log_flush(connlog->log);
    waker_sleep(&connlog->waker, deadline_usec);
    return true;
}

void *connlog_thread_run(void *argument)
{
    struct connlog *connlog = argument;
    const struct timespec nap = {.tv_nsec = CONNLOG_NAP_NSEC};

    while (!atomic_load(&connlog->stop)) {
        (void)keep_books(connlog, false);
        unsigned n = drain(connlog);
        if (n == CONNLOG_BATCH || (n == 0 && wait_for_entries(connlog)))
            continue;
        log_flush(connlog->log);
        clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, NULL);
    }

    while (drain(connlog) > 0)
        ;
    (void)keep_books(connlog, true);
    log_flush(connlog->log);
    (void)eventfd_write(connlog->ended_fd, 1);
    return NULL;
}
