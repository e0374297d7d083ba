/* SPDX-License-Identifier: MIT */
#include "greetd/connlog.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#include "greetd/deadline.h"
#include "greetd/metrics.h"
#include "greetd/ring.h"

/* Each about 100 bytes: what a worker may be ahead of the log. */
#define CONNLOG_WORKER_RECORDS 4096
#define CONNLOG_MESSAGES       1024

/* Entries taken from one ring before the next has its turn. */
#define CONNLOG_BATCH 256

/* Having written something, the thread looks again after this rather than being woken for each
 * entry. */
#define CONNLOG_NAP_NSEC 2000000

enum record_kind { RECORD_CONNECTION, RECORD_EXHAUSTED };

struct record {
    enum record_kind kind;
    int error;
    struct connlog_connection connection;
};

struct message {
    int priority;
    const char *id;
    const char *listener; /* NULL if it is not about one */
    char text[LOG_MESSAGE_MAX];
};

/* What one thread has to say, and how often it found no room for it. */
struct outlet {
    struct ring ring;
    _Alignas(RING_CACHE_LINE) atomic_uint_fast64_t left_out; /* written by that thread */
    uint64_t left_out_logged;
};

struct connlog {
    struct log *log;
    pthread_t thread;
    int wake_fd;
    int ended_fd; /* an eventfd, written when the thread has written everything */
    /* Whether the thread is about to wait, so that who has an entry for it must wake it. */
    atomic_bool asleep;
    atomic_bool stop;
    atomic_bool connections; /* wanted. Relaxed: it is about no other data */
    struct outlet messages;  /* of the main thread */
    unsigned n_workers;
    struct outlet workers[]; /* of records */
};

static void connlog_free(struct connlog *connlog)
{
    for (unsigned i = 0; i < connlog->n_workers; i++)
        ring_deinit(&connlog->workers[i].ring);
    ring_deinit(&connlog->messages.ring);
    util_close(connlog->wake_fd);
    util_close(connlog->ended_fd);
    free(connlog);
}
DEFINE_CLEANUP_FUNCTION(struct connlog, connlog_free)

/* Sequentially consistent on both sides: either the thread sees the entry that was just put into a
 * ring when it looks once more before it waits, or we see here that it has decided to wait. */
static void wake(struct connlog *connlog)
{
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&connlog->asleep, memory_order_relaxed) &&
        atomic_exchange(&connlog->asleep, false))
        (void)eventfd_write(connlog->wake_fd, 1);
}

static void write_left_out(struct connlog *connlog, struct outlet *outlet, const char *what)
{
    uint64_t left_out = atomic_load_explicit(&outlet->left_out, memory_order_relaxed);
    char message[LOG_MESSAGE_MAX];

    if (left_out == outlet->left_out_logged)
        return;
    snprintf(message, sizeof(message), "%" PRIu64 " %s left out: ring full",
             left_out - outlet->left_out_logged, what);
    log_write(connlog->log, LOG_NOTICE, LOG_ID_LEFT_OUT, message, NULL, 0);
    outlet->left_out_logged = left_out;
}

static bool drain_messages(struct connlog *connlog)
{
    struct message message;
    bool any = false;

    while (ring_pop(&connlog->messages.ring, &message)) {
        connlog_entry_message(connlog->log, message.priority, message.id, message.listener,
                              message.text);
        any = true;
    }
    write_left_out(connlog, &connlog->messages, "messages");
    return any;
}

static bool drain_worker(struct connlog *connlog, unsigned worker)
{
    struct outlet *outlet = &connlog->workers[worker];
    struct record record;
    unsigned n = 0;

    while (n < CONNLOG_BATCH && ring_pop(&outlet->ring, &record)) {
        switch (record.kind) {
        case RECORD_CONNECTION:
            connlog_entry_connection(connlog->log, worker, &record.connection);
            break;
        case RECORD_EXHAUSTED:
            connlog_entry_exhausted(connlog->log, worker, record.error);
            break;
        }
        n++;
    }
    write_left_out(connlog, outlet, "connection entries");
    return n > 0;
}

/* Writes a batch of each ring's entries. Returns false if there were none. */
static bool drain(struct connlog *connlog)
{
    bool any = drain_messages(connlog);

    for (unsigned i = 0; i < connlog->n_workers; i++)
        any |= drain_worker(connlog, i);
    return any;
}

/* Sleeps until someone has put an entry into a ring, or returns true if there is one by now. */
static bool wait_for_entries(struct connlog *connlog)
{
    eventfd_t n;

    atomic_store(&connlog->asleep, true);
    atomic_thread_fence(memory_order_seq_cst);
    if (drain(connlog) || atomic_load(&connlog->stop)) {
        atomic_store(&connlog->asleep, false);
        return true;
    }
    log_flush(connlog->log);
    (void)eventfd_read(connlog->wake_fd, &n);
    return false;
}

static void *connlog_main(void *p)
{
    struct connlog *connlog = p;
    const struct timespec nap = {.tv_nsec = CONNLOG_NAP_NSEC};

    while (!atomic_load(&connlog->stop)) {
        if (!drain(connlog) && !wait_for_entries(connlog))
            continue;
        log_flush(connlog->log);
        clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, NULL);
    }

    while (drain(connlog))
        ;
    log_flush(connlog->log);
    (void)eventfd_write(connlog->ended_fd, 1);
    return NULL;
}

static int connlog_new(struct connlog **ret, struct log *log, unsigned n_workers)
{
    size_t size = sizeof(struct connlog) + n_workers * sizeof(struct outlet);
    _cleanup_(connlog_freep) struct connlog *connlog = aligned_alloc(RING_CACHE_LINE, size);
    int r;

    if (!connlog)
        return -ENOMEM;
    memset(connlog, 0, size);
    connlog->log = log;
    connlog->n_workers = n_workers;
    connlog->ended_fd = -1;
    connlog->wake_fd = eventfd(0, EFD_CLOEXEC);
    if (connlog->wake_fd < 0)
        return -errno;
    connlog->ended_fd = eventfd(0, EFD_CLOEXEC);
    if (connlog->ended_fd < 0)
        return -errno;

    r = ring_init(&connlog->messages.ring, CONNLOG_MESSAGES, sizeof(struct message));
    for (unsigned i = 0; r >= 0 && i < n_workers; i++)
        r = ring_init(&connlog->workers[i].ring, CONNLOG_WORKER_RECORDS, sizeof(struct record));
    if (r < 0)
        return r;

    *ret = TAKE_PTR(connlog);
    return 0;
}

void connlog_configure(struct connlog *connlog, bool connections)
{
    atomic_store_explicit(&connlog->connections, connections, memory_order_relaxed);
}

bool connlog_wants_connections(const struct connlog *connlog)
{
    return atomic_load_explicit(&connlog->connections, memory_order_relaxed);
}

int connlog_start(struct connlog **ret, struct log *log, unsigned n_workers, bool connections)
{
    _cleanup_(connlog_freep) struct connlog *connlog = NULL;
    int r;

    r = connlog_new(&connlog, log, n_workers);
    if (r < 0)
        return r;
    connlog_configure(connlog, connections);
    r = pthread_create(&connlog->thread, NULL, connlog_main, connlog);
    if (r > 0)
        return -r;
    pthread_setname_np(connlog->thread, "greetd-log");

    *ret = TAKE_PTR(connlog);
    return 0;
}

/* Waits for the thread to have written everything. Not by pthread_clockjoin_np(3), of which
 * ThreadSanitizer knows nothing. */
static bool await_end(const struct connlog *connlog, uint64_t deadline_usec)
{
    struct pollfd ended = {.fd = connlog->ended_fd, .events = POLLIN};
    int n;

    do {
        uint64_t now_usec = deadline_now();
        uint64_t left_usec = deadline_usec > now_usec ? deadline_usec - now_usec : 0;

        n = poll(&ended, 1,
                 (int)deadline_earlier(left_usec / 1000 + (left_usec % 1000 > 0), INT_MAX));
    } while (n < 0 && errno == EINTR);
    return n > 0;
}

int connlog_stop(struct connlog *connlog, uint64_t deadline_usec)
{
    atomic_store(&connlog->stop, true);
    (void)eventfd_write(connlog->wake_fd, 1);
    if (!await_end(connlog, deadline_usec))
        return -ETIMEDOUT;

    pthread_join(connlog->thread, NULL);
    connlog_free(connlog);
    return 0;
}

static void push(struct connlog *connlog, struct outlet *outlet, const void *element)
{
    if (!ring_push(&outlet->ring, element))
        metrics_add(&outlet->left_out, 1);
    wake(connlog);
}

static void push_record(struct connlog *connlog, unsigned worker, const struct record *record)
{
    push(connlog, &connlog->workers[worker], record);
}

void connlog_connection(struct connlog *connlog, unsigned worker,
                        const struct connlog_connection *connection)
{
    push_record(connlog, worker,
                &(const struct record){.kind = RECORD_CONNECTION, .connection = *connection});
}

void connlog_exhausted(struct connlog *connlog, unsigned worker, int error)
{
    push_record(connlog, worker, &(const struct record){.kind = RECORD_EXHAUSTED, .error = error});
}

void connlog_listening(struct connlog *connlog, const char *listener, const char *address)
{
    struct message message = {.priority = LOG_INFO, .id = LOG_ID_LISTENING, .listener = listener};

    snprintf(message.text, sizeof(message.text), "Server is listening on %s", address);
    push(connlog, &connlog->messages, &message);
}

void connlog_message(struct connlog *connlog, int priority, const char *id, const char *format, ...)
{
    struct message message = {.priority = priority, .id = id};
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(message.text, sizeof(message.text), format, arguments);
    va_end(arguments);
    push(connlog, &connlog->messages, &message);
}
