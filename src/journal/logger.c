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
#include "greetd/base/waker.h"
#include "greetd/journal/catalog.h"
#include "greetd/journal/writer.h"
#include "greetd/metrics/metrics.h"

/* What a worker may be ahead of the log, at about 100 bytes each, and the main thread, at 800. */
#define LOGGER_WORKER_RECORDS 4096
#define LOGGER_MESSAGES       1024

static void logger_free(struct logger *logger)
{
    for (unsigned i = 0; i < logger->n_workers; i++)
        ring_deinit(&logger->workers[i].ring);
    ring_deinit(&logger->messages.ring);
    waker_deinit(&logger->waker);
    safe_close(logger->ended_fd);
    free(logger);
}
DEFINE_CLEANUP_FUNCTION(struct logger, logger_free)

static int logger_new(struct logger **ret, struct sink *sink, unsigned n_workers)
{
    size_t size = sizeof(struct logger) + n_workers * sizeof(struct log_producer);
    _cleanup_(logger_freep) struct logger *logger = aligned_alloc(RING_CACHE_LINE, size);
    int r;

    if (!logger)
        return -ENOMEM;
    memset(logger, 0, size);
    logger->sink = sink;
    logger->n_workers = n_workers;
    logger->ended_fd = -1;
    logger->waker = WAKER_NULL;
    r = waker_init(&logger->waker);
    if (r < 0)
        return r;
    logger->ended_fd = eventfd(0, EFD_CLOEXEC);
    if (logger->ended_fd < 0)
        return -errno;

    r = ring_init(&logger->messages.ring, LOGGER_MESSAGES, sizeof(struct logger_log));
    for (unsigned i = 0; r >= 0 && i < n_workers; i++)
        r = ring_init(&logger->workers[i].ring, LOGGER_WORKER_RECORDS, sizeof(struct log_record));
    if (r < 0)
        return r;

    *ret = TAKE_PTR(logger);
    return 0;
}

void logger_configure(struct logger *logger, const struct logger_options *options)
{
    bool connections = options->connections && options->level >= LOG_INFO;

    atomic_store_explicit(&logger->connections, connections, memory_order_relaxed);
    atomic_store_explicit(&logger->level, options->level, memory_order_relaxed);
    atomic_store_explicit(&logger->interval_usec, options->limit.interval_usec,
                          memory_order_relaxed);
    atomic_store_explicit(&logger->burst, options->limit.burst, memory_order_relaxed);
    waker_wake(&logger->waker);
}

uint64_t logger_dropped(const struct logger *logger)
{
    return writer_dropped(logger);
}

bool logger_wants_connections(const struct logger *logger)
{
    return atomic_load_explicit(&logger->connections, memory_order_relaxed);
}

static bool wants(const struct logger *logger, int priority)
{
    return priority <= atomic_load_explicit(&logger->level, memory_order_relaxed);
}

int logger_start(struct logger **ret, struct sink *sink, unsigned n_workers,
                 const struct logger_options *options)
{
    _cleanup_(logger_freep) struct logger *logger = NULL;
    int r;

    r = logger_new(&logger, sink, n_workers);
    if (r < 0)
        return r;
    logger_configure(logger, options);
    logger->books = rate_limit_init(&options->limit);
    r = pthread_create(&logger->thread, NULL, writer_run, logger);
    if (r > 0)
        return -r;
    pthread_setname_np(logger->thread, "greetd-log");

    *ret = TAKE_PTR(logger);
    return 0;
}

/* How many entries the thread has neither written nor announced. The thread and a stuck worker may
 * go on while their counters are read, so the difference may be negative. */
static uint64_t count_lost(const struct logger *logger)
{
    uint64_t accounted = atomic_load(&logger->accounted), handed_over = 0;

    for (unsigned i = 0; i < logger->n_workers; i++)
        handed_over += atomic_load(&logger->workers[i].connections);
    return handed_over > accounted ? handed_over - accounted : 0;
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
    /* Not pthread_clockjoin_np(3), of which ThreadSanitizer knows nothing. */
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

/* Counts in LEFT_OUT what finds no room. Only then is the thread woken: it may have emptied the
 * ring meanwhile, and go to sleep without knowing of it. */
static void push(struct logger *logger, struct log_producer *outlet, const void *element,
                 atomic_uint_fast64_t *left_out)
{
    if (!ring_push(&outlet->ring, element))
        metrics_add(left_out, 1);
    waker_wake(&logger->waker);
}

void logger_log_connection(struct logger *logger, unsigned worker,
                           const struct logger_log_connection *connection)
{
    struct log_producer *outlet = &logger->workers[worker];

    metrics_add(&outlet->connections, 1);
    if (atomic_load_explicit(&logger->exhausted, memory_order_relaxed))
        metrics_add(&outlet->left_out, 1);
    else
        push(logger, outlet,
             &(const struct log_record){.kind = LOG_RECORD_CONNECTION, .connection = *connection},
             &outlet->left_out);
}

static void push_message(struct logger *logger, struct log_producer *outlet, const void *element)
{
    push(logger, outlet, element, &outlet->messages_left_out);
}

void logger_log_accept_paused(struct logger *logger, unsigned worker, int error)
{
    if (wants(logger, LOG_WARNING))
        push_message(logger, &logger->workers[worker],
                     &(const struct log_record){.kind = LOG_RECORD_ACCEPT_PAUSED,
                                                .error = error,
                                                .when_usec = clock_now()});
}

void logger_log_listening(struct logger *logger, const char *listener, const char *address)
{
    struct logger_log message = {
        .priority = LOG_INFO, .id = MESSAGE_ID_LISTENING, .when_usec = clock_now()};

    if (!wants(logger, message.priority))
        return;
    snprintf(message.listener, sizeof(message.listener), "%s", listener);
    snprintf(message.text, sizeof(message.text), "Server is listening on %s", address);
    push_message(logger, &logger->messages, &message);
}

void logger_log(struct logger *logger, int priority, const char *id, const char *format, ...)
{
    struct logger_log message = {.priority = priority, .id = id, .when_usec = clock_now()};
    va_list arguments;

    if (!wants(logger, priority))
        return;
    va_start(arguments, format);
    vsnprintf(message.text, sizeof(message.text), format, arguments);
    va_end(arguments);
    push_message(logger, &logger->messages, &message);
}
