/* SPDX-License-Identifier: MIT */
#include "greetd/journal/logger.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>

#include "greetd/base/timeout_queue.h"
#include "greetd/journal/writer.h"
#include "greetd/metrics/metrics.h"
#include "greetd/net/socket.h"

/* What a worker may be ahead of the log, at about 100 bytes each, and the main thread, at 800. */
#define CONNLOG_WORKER_RECORDS 4096
#define CONNLOG_MESSAGES       1024

static void connlog_free(struct connlog *connlog)
{
    for (unsigned i = 0; i < connlog->n_workers; i++)
        ring_deinit(&connlog->workers[i].ring);
    ring_deinit(&connlog->messages.ring);
    waker_deinit(&connlog->waker);
    util_close(connlog->ended_fd);
    free(connlog);
}
DEFINE_CLEANUP_FUNCTION(struct connlog, connlog_free)

static int connlog_new(struct connlog **ret, struct log *log, unsigned n_workers)
{
    size_t size = sizeof(struct connlog) + n_workers * sizeof(struct connlog_outlet);
    _cleanup_(connlog_freep) struct connlog *connlog = aligned_alloc(RING_CACHE_LINE, size);
    int r;

    if (!connlog)
        return -ENOMEM;
    memset(connlog, 0, size);
    connlog->log = log;
    connlog->n_workers = n_workers;
    connlog->ended_fd = -1;
    connlog->waker = WAKER_NULL;
    r = waker_init(&connlog->waker);
    if (r < 0)
        return r;
    connlog->ended_fd = eventfd(0, EFD_CLOEXEC);
    if (connlog->ended_fd < 0)
        return -errno;

    r = ring_init(&connlog->messages.ring, CONNLOG_MESSAGES, sizeof(struct connlog_message));
    for (unsigned i = 0; r >= 0 && i < n_workers; i++)
        r = ring_init(&connlog->workers[i].ring, CONNLOG_WORKER_RECORDS,
                      sizeof(struct connlog_record));
    if (r < 0)
        return r;

    *ret = TAKE_PTR(connlog);
    return 0;
}

void connlog_configure(struct connlog *connlog, const struct connlog_options *options)
{
    bool connections = options->connections && options->level >= LOG_INFO;

    atomic_store_explicit(&connlog->connections, connections, memory_order_relaxed);
    atomic_store_explicit(&connlog->level, options->level, memory_order_relaxed);
    atomic_store_explicit(&connlog->interval_usec, options->limit.interval_usec,
                          memory_order_relaxed);
    atomic_store_explicit(&connlog->burst, options->limit.burst, memory_order_relaxed);
    waker_wake(&connlog->waker);
}

uint64_t connlog_left_out(const struct connlog *connlog)
{
    return connlog_thread_left_out(connlog);
}

bool connlog_wants_connections(const struct connlog *connlog)
{
    return atomic_load_explicit(&connlog->connections, memory_order_relaxed);
}

static bool wants(const struct connlog *connlog, int priority)
{
    return priority <= atomic_load_explicit(&connlog->level, memory_order_relaxed);
}

int connlog_start(struct connlog **ret, struct log *log, unsigned n_workers,
                  const struct connlog_options *options)
{
    _cleanup_(connlog_freep) struct connlog *connlog = NULL;
    int r;

    r = connlog_new(&connlog, log, n_workers);
    if (r < 0)
        return r;
    connlog_configure(connlog, options);
    connlog->books = connlog_books_open(&options->limit);
    r = pthread_create(&connlog->thread, NULL, connlog_thread_run, connlog);
    if (r > 0)
        return -r;
    pthread_setname_np(connlog->thread, "greetd-log");

    *ret = TAKE_PTR(connlog);
    return 0;
}

/* How many entries the thread has neither written nor announced. The thread and a stuck worker may
 * go on while their counters are read, so the difference may be negative. */
static uint64_t count_lost(const struct connlog *connlog)
{
    uint64_t accounted = atomic_load(&connlog->accounted), handed_over = 0;

    for (unsigned i = 0; i < connlog->n_workers; i++)
        handed_over += atomic_load(&connlog->workers[i].connections);
    return handed_over > accounted ? handed_over - accounted : 0;
}

static void log_lost_entries(const struct connlog *connlog)
{
    char text[LOG_MESSAGE_MAX];
    uint64_t n = count_lost(connlog);

    if (n == 0)
        return;
    snprintf(
        text, sizeof(text),
        "%" PRIu64 " connection entries left out: the journal did not take them before the end", n);
    log_write_past(connlog->log, LOG_NOTICE, text);
}

int connlog_end(struct connlog *connlog, uint64_t deadline_usec)
{
    atomic_store(&connlog->stop, true);
    waker_wake(&connlog->waker);
    /* Not pthread_clockjoin_np(3), of which ThreadSanitizer knows nothing. */
    if (!sockutil_await_readable(connlog->ended_fd, deadline_usec)) {
        log_lost_entries(connlog);
        return -ETIMEDOUT;
    }

    pthread_join(connlog->thread, NULL);
    log_lost_entries(connlog);
    return 0;
}

int connlog_stop(struct connlog *connlog, uint64_t deadline_usec)
{
    int r = connlog_end(connlog, deadline_usec);

    if (r >= 0)
        connlog_free(connlog);
    return r;
}

/* Counts in LEFT_OUT what finds no room. Only then is the thread woken: it may have emptied the
 * ring meanwhile, and go to sleep without knowing of it. */
static void push(struct connlog *connlog, struct connlog_outlet *outlet, const void *element,
                 atomic_uint_fast64_t *left_out)
{
    if (!ring_push(&outlet->ring, element))
        metrics_add(left_out, 1);
    waker_wake(&connlog->waker);
}

void connlog_connection(struct connlog *connlog, unsigned worker,
                        const struct connlog_connection *connection)
{
    struct connlog_outlet *outlet = &connlog->workers[worker];

    metrics_add(&outlet->connections, 1);
    if (atomic_load_explicit(&connlog->exhausted, memory_order_relaxed))
        metrics_add(&outlet->left_out, 1);
    else
        push(connlog, outlet,
             &(const struct connlog_record){.kind = CONNLOG_RECORD_CONNECTION,
                                            .connection = *connection},
             &outlet->left_out);
}

static void push_message(struct connlog *connlog, struct connlog_outlet *outlet,
                         const void *element)
{
    push(connlog, outlet, element, &outlet->messages_left_out);
}

void connlog_exhausted(struct connlog *connlog, unsigned worker, int error)
{
    if (wants(connlog, LOG_WARNING))
        push_message(connlog, &connlog->workers[worker],
                     &(const struct connlog_record){.kind = CONNLOG_RECORD_EXHAUSTED,
                                                    .error = error,
                                                    .when_usec = deadline_now()});
}

void connlog_listening(struct connlog *connlog, const char *listener, const char *address)
{
    struct connlog_message message = {
        .priority = LOG_INFO, .id = LOG_ID_LISTENING, .when_usec = deadline_now()};

    if (!wants(connlog, message.priority))
        return;
    snprintf(message.listener, sizeof(message.listener), "%s", listener);
    snprintf(message.text, sizeof(message.text), "Server is listening on %s", address);
    push_message(connlog, &connlog->messages, &message);
}

void connlog_message(struct connlog *connlog, int priority, const char *id, const char *format, ...)
{
    struct connlog_message message = {.priority = priority, .id = id, .when_usec = deadline_now()};
    va_list arguments;

    if (!wants(connlog, priority))
        return;
    va_start(arguments, format);
    vsnprintf(message.text, sizeof(message.text), format, arguments);
    va_end(arguments);
    push_message(connlog, &connlog->messages, &message);
}
