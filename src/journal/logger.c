/* SPDX-License-Identifier: MIT */
#include "greetd/journal/logger.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>

#include "greetd/base/clock.h"
#include "greetd/base/thread.h"
#include "greetd/base/waker.h"
#include "greetd/journal/catalog.h"
#include "greetd/journal/writer.h"
#include "greetd/metrics/metrics.h"

/* How many records a worker may be ahead of the log, at about 100 bytes each, and the main thread,
 * at 800. */
#define LOGGER_WORKER_RECORDS 4096
#define LOGGER_MESSAGES       1024

static void logger_free(struct logger *logger)
{
    for (size_t i = 0; i < logger->metrics->n; i++)
        ring_deinit(&logger->workers[i].ring);
    ring_deinit(&logger->main.ring);
    waker_deinit(&logger->waker);
    safe_close(logger->ended_fd);
    free(logger);
}
DEFINE_CLEANUP_FUNCTION(struct logger, logger_free)

static int logger_new(struct logger **ret, struct sink *sink, struct metrics *metrics)
{
    size_t size = sizeof(struct logger) + metrics->n * sizeof(struct log_producer);
    _cleanup_(logger_freep) struct logger *logger = aligned_alloc(RING_CACHE_LINE, size);
    int r;

    if (!logger)
        return -ENOMEM;
    memset(logger, 0, size);
    logger->sink = sink;
    logger->metrics = metrics;
    logger->ended_fd = -1;
    logger->waker = WAKER_NULL;
    r = waker_init(&logger->waker);
    if (r < 0)
        return r;
    logger->ended_fd = eventfd(0, EFD_CLOEXEC);
    if (logger->ended_fd < 0)
        return -errno;

    r = ring_init(&logger->main.ring, LOGGER_MESSAGES, sizeof(struct log_message));
    for (size_t i = 0; r >= 0 && i < metrics->n; i++)
        r = ring_init(&logger->workers[i].ring, LOGGER_WORKER_RECORDS, sizeof(struct log_record));
    if (r < 0)
        return r;

    *ret = TAKE_PTR(logger);
    return 0;
}

void logger_configure(struct logger *logger, const struct logger_options *options)
{
    atomic_store_explicit(&logger->level, options->level, memory_order_relaxed);
    atomic_store_explicit(&logger->interval_usec, options->limit.interval_usec,
                          memory_order_relaxed);
    atomic_store_explicit(&logger->burst, options->limit.burst, memory_order_relaxed);
    waker_wake(&logger->waker);
}

static bool wants(const struct logger *logger, int priority)
{
    return priority <= atomic_load_explicit(&logger->level, memory_order_relaxed);
}

bool logger_wants_connections(const struct logger *logger)
{
    return wants(logger, LOG_INFO);
}

int logger_start(struct logger **ret, struct sink *sink, struct metrics *metrics,
                 const struct logger_options *options)
{
    _cleanup_(logger_freep) struct logger *logger = NULL;
    int r;

    r = logger_new(&logger, sink, metrics);
    if (r < 0)
        return r;
    logger_configure(logger, options);
    logger->limit = rate_limit_init(&options->limit);
    r = thread_start(&logger->thread, writer_run, logger);
    if (r < 0)
        return r;
    pthread_setname_np(logger->thread, "greetd-log");

    *ret = TAKE_PTR(logger);
    return 0;
}

/* Returns how many entries the thread has neither written nor announced. The thread and a stuck
 * worker may go on while their counters are read, so the difference may be negative. */
static uint64_t count_lost(const struct logger *logger)
{
    uint64_t accounted = atomic_load(&logger->accounted), connections = 0;

    for (size_t i = 0; i < logger->metrics->n; i++)
        connections += atomic_load(&logger->workers[i].connections);
    return connections > accounted ? connections - accounted : 0;
}

static void log_lost_entries(const struct logger *logger)
{
    char text[SINK_MESSAGE_MAX];
    uint64_t n = count_lost(logger);

    if (n == 0)
        return;
    snprintf(
        text, sizeof(text),
        "%" PRIu64 " connection entries left out: the journal did not take them before the end", n);
    sink_try_write(logger->sink, LOG_NOTICE, text);
}

int logger_end(struct logger *logger, uint64_t deadline_usec)
{
    atomic_store(&logger->stop, true);
    waker_wake(&logger->waker);
    /* Not pthread_clockjoin_np(3), which ThreadSanitizer does not know. */
    if (!waker_wait_readable(logger->ended_fd, deadline_usec)) {
        log_lost_entries(logger);
        return -ETIMEDOUT;
    }

    pthread_join(logger->thread, NULL);
    log_lost_entries(logger);
    return 0;
}

int logger_stop(struct logger *logger, uint64_t deadline_usec)
{
    int r = logger_end(logger, deadline_usec);

    if (r >= 0)
        logger_free(logger);
    return r;
}

/* Counts a record that finds no room in DROPPED. The thread is woken after the count: it may have
 * emptied the ring meanwhile, and go to sleep without knowing of the drop. */
static void push(struct logger *logger, struct log_producer *producer, const void *record,
                 atomic_uint_fast64_t *dropped)
{
    if (!ring_push(&producer->ring, record))
        metrics_add(dropped, 1);
    waker_wake(&logger->waker);
}

void logger_log_connection(struct logger *logger, unsigned worker,
                           const struct connection_record *connection)
{
    struct log_producer *producer = &logger->workers[worker];
    atomic_uint_fast64_t *dropped = &logger->metrics->workers[worker].log_dropped;

    metrics_add(&producer->connections, 1);
    if (atomic_load_explicit(&logger->limit_exceeded, memory_order_relaxed))
        metrics_add(dropped, 1);
    else
        push(logger, producer,
             &(const struct log_record){.kind = LOG_RECORD_CONNECTION, .connection = *connection},
             dropped);
}

static void push_message(struct logger *logger, struct log_producer *producer, const void *record)
{
    push(logger, producer, record, &producer->messages_dropped);
}

void logger_log_accept_paused(struct logger *logger, unsigned worker, int error)
{
    if (wants(logger, LOG_WARNING))
        push_message(logger, &logger->workers[worker],
                     &(const struct log_record){.kind = LOG_RECORD_ACCEPT_PAUSED,
                                                .error = error,
                                                .when_usec = clock_now()});
}

static _printf_(5, 0) void log_text(struct logger *logger, const char *listener, int priority,
                                    const char *id, const char *format, va_list arguments)
{
    struct log_message message = {.priority = priority, .id = id, .when_usec = clock_now()};

    if (!wants(logger, priority))
        return;
    snprintf(message.listener, sizeof(message.listener), "%s", listener);
    vsnprintf(message.text, sizeof(message.text), format, arguments);
    push_message(logger, &logger->main, &message);
}

void logger_log_about(struct logger *logger, const char *listener, int priority, const char *id,
                      const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    log_text(logger, listener, priority, id, format, arguments);
    va_end(arguments);
}

void logger_log(struct logger *logger, int priority, const char *id, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    log_text(logger, "", priority, id, format, arguments);
    va_end(arguments);
}
