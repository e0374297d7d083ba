/* SPDX-License-Identifier: MIT */
#include "client/generator.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

#include "client/output.h"
#include "greetd/base/cleanup.h"
#include "greetd/base/clock.h"
#include "greetd/base/timeout_queue.h"

/* Small, so that no connection waits long while others start or receive. */
#define EVENTS      32
#define START_BATCH 32

#define RETRY_USEC 1000

/* An event carries the index of its connection, or one of these. */
#define EVENT_SIGNAL UINT32_MAX
#define EVENT_TIMER  (UINT32_MAX - 1)

enum state { STATE_FREE, STATE_RETRYING, STATE_WORKING, STATE_HOLDING };

struct connection {
    struct timeout_entry entry; /* in the queue of its state */
    uint64_t intended_usec;     /* when it should have started */
    uint64_t start_usec;        /* when it did */
    struct exchange exchange;
    enum state state;
    uint32_t next_free;
};

struct generator {
    const struct generator_options *options;
    struct load_result *result;
    struct progress progress;
    int epoll_fd, signal_fd, timer_fd;
    int error; /* negative errno that ends the run */
    unsigned sources;
    uint64_t start_usec;
    uint64_t armed_usec; /* when the timer expires */
    uint64_t retry_usec; /* when to retry the oldest connection in `retrying` */
    uint64_t started;
    uint32_t active; /* not STATE_FREE */
    uint32_t free;   /* the head of the free list, which ends at options->concurrent */
    struct timeout_queue retrying, working, holding;
    struct connection *connections;
    char buffer[EXCHANGE_BUFFER_SIZE];
};

static uint32_t index_of(const struct generator *g, const struct connection *connection)
{
    return (uint32_t)(connection - g->connections);
}

static struct connection *oldest_in(const struct timeout_queue *fifo)
{
    struct timeout_entry *entry = timeout_queue_oldest(fifo);

    return entry ? (struct connection *)((char *)entry - offsetof(struct connection, entry)) : NULL;
}

/* Closes the connection and frees its slot. An ordinary close(2) is enough: unless the connection
 * is lost, the server has sent its FIN first. Then the server's side stays in TIME-WAIT (RFC 9293,
 * 3.6), and the local port is free at once. */
static void release(struct generator *g, struct connection *connection)
{
    connection->exchange.fd = safe_close(connection->exchange.fd);
    timeout_queue_remove(&connection->entry);
    connection->state = STATE_FREE;
    connection->next_free = g->free;
    g->free = index_of(g, connection);
    g->active--;
}

static void finish(struct generator *g, struct connection *connection, enum outcome outcome)
{
    struct load_result *result = g->result;
    uint64_t now = clock_now();

    result->outcomes[outcome]++;
    result->finished++;
    result->duration_usec = now - g->start_usec;
    if (outcome == OUTCOME_OK)
        histogram_add(&result->latency_usec, now - connection->intended_usec);
    receipts_add(g->options->receipts, &g->options->request, &connection->exchange, outcome,
                 connection->start_usec, now);

    if (outcome == OUTCOME_OK && g->options->hold_usec > 0) {
        connection->state = STATE_HOLDING;
        timeout_queue_push(&g->holding, &connection->entry, now);
    } else {
        release(g, connection);
    }
}

/* Edge-triggered: each step reads until it would block, and a connection that is held after its end
 * of stream causes no more events. */
static int watch(struct generator *g, int fd, uint32_t index, uint32_t events)
{
    struct epoll_event event = {.events = events | EPOLLET, .data.u32 = index};

    return epoll_ctl(g->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

/* The queue of a Unix socket is full, and no event reports its end. Only the oldest connection is
 * retried, on behalf of all. */
static void retry_later(struct generator *g, struct connection *connection, uint64_t now)
{
    g->retry_usec = now + RETRY_USEC;
    if (connection->state == STATE_RETRYING)
        return;
    connection->state = STATE_RETRYING;
    timeout_queue_push(&g->retrying, &connection->entry, now);
}

static void try_connect(struct generator *g, struct connection *connection, uint64_t now)
{
    uint32_t index = index_of(g, connection);
    in_addr_t from = g->sources > 1 ? exchange_source(index % g->sources) : htonl(INADDR_ANY);
    int r = exchange_connect(&connection->exchange.fd, &g->options->request.to, from);

    if (r == -EAGAIN) {
        retry_later(g, connection, now);
        return;
    }
    if (r < 0 && !exchange_error_is_local(r)) {
        finish(g, connection, outcome_from_error(r));
        return;
    }
    connection->state = STATE_WORKING;
    timeout_queue_push(&g->working, &connection->entry, now);
    if (r >= 0 && g->options->receipts)
        exchange_note_own(&connection->exchange);
    if (r >= 0)
        r = watch(g, connection->exchange.fd, index,
                  exchange_sends(&g->options->request) ? EPOLLIN | EPOLLOUT : EPOLLIN);
    if (r < 0)
        g->error = r;
}

/* When the next connection should start: now, unless there is a rate. */
static uint64_t next_start(const struct generator *g, uint64_t now)
{
    if (g->options->rate == 0)
        return now;
    return g->start_usec + g->started * 1000000 / g->options->rate;
}

static bool can_start(const struct generator *g)
{
    return g->started < g->options->connections && g->active < g->options->concurrent;
}

static bool is_done(const struct generator *g)
{
    return g->error < 0 || g->result->interrupted ||
           (g->options->receipts && g->options->receipts->error < 0) ||
           (g->started == g->options->connections && g->active == 0);
}

/* Starts the connections that are due. Latency counts from when a connection should have started: a
 * stalled server delays later starts, and their wait must appear in the figures ("coordinated
 * omission"). */
static void start_due(struct generator *g)
{
    for (unsigned i = 0; i < START_BATCH && can_start(g) && !is_done(g); i++) {
        struct connection *connection = &g->connections[g->free];
        uint64_t now = clock_now(), intended = next_start(g, now);

        if (intended > now)
            return;
        g->free = connection->next_free;
        *connection = (struct connection){
            .intended_usec = intended,
            .start_usec = now,
            .exchange = {.fd = -1,
                         .number = g->started + 1,
                         .comparison.expected = g->options->expected},
        };
        g->active++;
        g->started++;
        try_connect(g, connection, now);
    }
}

static void step(struct generator *g, uint32_t index)
{
    struct connection *connection;
    enum outcome outcome;

    if (index == EVENT_SIGNAL)
        g->result->interrupted = true;
    if (index >= g->options->concurrent)
        return;
    connection = &g->connections[index];
    if (connection->state != STATE_WORKING)
        return;
    outcome = exchange_step(&connection->exchange, &g->options->request, g->buffer);
    if (outcome != EXCHANGE_PENDING)
        finish(g, connection, outcome);
}

static void retry(struct generator *g, uint64_t now)
{
    struct connection *connection;

    while (now >= g->retry_usec && !is_done(g) && (connection = oldest_in(&g->retrying))) {
        if (now >= usec_add(connection->start_usec, g->options->timeout_usec))
            finish(g, connection, OUTCOME_TIMEOUT);
        else
            try_connect(g, connection, now);
    }
}

static void expire(struct generator *g)
{
    const struct generator_options *options = g->options;
    uint64_t now = clock_now();

    while (timeout_queue_deadline(&g->holding, options->hold_usec) <= now)
        release(g, oldest_in(&g->holding));
    while (timeout_queue_deadline(&g->working, options->timeout_usec) <= now)
        finish(g, oldest_in(&g->working), OUTCOME_TIMEOUT);
    retry(g, now);
}

/* For epoll_wait(2): how long nothing is due except the next start, for which the timer is set. */
static int wait_msec(const struct generator *g, uint64_t now)
{
    uint64_t due = g->progress.due_usec;

    if (oldest_in(&g->retrying))
        due = usec_min(due, g->retry_usec);
    due = usec_min(due, timeout_queue_deadline(&g->working, g->options->timeout_usec));
    due = usec_min(due, timeout_queue_deadline(&g->holding, g->options->hold_usec));
    return usec_wait_msec(due, now);
}

/* The milliseconds of epoll_wait(2) are too coarse for starts: a late start would count as latency
 * of the server. */
static void arm_timer(struct generator *g, uint64_t usec)
{
    const struct itimerspec when = {
        .it_value = {.tv_sec = (time_t)(usec / 1000000), .tv_nsec = (long)(usec % 1000000 * 1000)}};

    if (g->armed_usec == usec)
        return;
    if (timerfd_settime(g->timer_fd, TFD_TIMER_ABSTIME, &when, NULL) < 0)
        g->error = -errno;
    g->armed_usec = usec;
}

static void wait_and_step(struct generator *g)
{
    struct epoll_event events[EVENTS];
    uint64_t now = clock_now(), start = can_start(g) ? next_start(g, now) : USEC_INFINITY;
    int n;

    if (start > now && start != USEC_INFINITY)
        arm_timer(g, start);
    n = epoll_wait(g->epoll_fd, events, EVENTS, start <= now ? 0 : wait_msec(g, now));
    if (n < 0 && errno != EINTR)
        g->error = -errno;
    /* No event is stale: each descriptor has at most one, and only its own step closes it. */
    for (int i = 0; i < n; i++)
        step(g, events[i].data.u32);
}

/* Counts the connections in progress at the end of a run. */
static void count_unfinished(struct generator *g)
{
    uint64_t now = clock_now();

    for (uint32_t i = 0; i < g->options->concurrent; i++) {
        const struct connection *connection = &g->connections[i];

        if (connection->state == STATE_FREE || connection->state == STATE_HOLDING)
            continue;
        g->result->unfinished++;
        receipts_add(g->options->receipts, &g->options->request, &connection->exchange,
                     RECEIPT_UNFINISHED, connection->start_usec, now);
    }
}

static void run(struct generator *g)
{
    const struct load_result *result = g->result;

    g->start_usec = clock_now();
    g->progress = progress_start(g->options->terminal, g->options->connections);
    while (!is_done(g)) {
        start_due(g);
        if (is_done(g))
            break;
        wait_and_step(g);
        expire(g);
        progress_print(&g->progress, result->finished,
                       result->finished - result->outcomes[OUTCOME_OK], g->active);
    }
    progress_clear(&g->progress);
    count_unfinished(g);
}

static sigset_t ending_signals(void)
{
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    return signals;
}

void generator_block_signals(void)
{
    const sigset_t signals = ending_signals();

    sigprocmask(SIG_BLOCK, &signals, NULL);
}

static int open_descriptors(struct generator *g)
{
    const sigset_t signals = ending_signals();
    int r;

    g->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (g->epoll_fd < 0)
        return -errno;
    g->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (g->signal_fd < 0)
        return -errno;
    g->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (g->timer_fd < 0)
        return -errno;
    r = watch(g, g->signal_fd, EVENT_SIGNAL, EPOLLIN);
    return r < 0 ? r : watch(g, g->timer_fd, EVENT_TIMER, EPOLLIN);
}

static void generator_free(struct generator *g)
{
    for (uint32_t i = 0; g->connections && i < g->options->concurrent; i++)
        safe_close(g->connections[i].exchange.fd);
    safe_close(g->epoll_fd);
    safe_close(g->signal_fd);
    safe_close(g->timer_fd);
    free(g->connections);
    free(g);
}
DEFINE_CLEANUP_FUNCTION(struct generator, generator_free)

static int generator_new(struct generator **ret, const struct generator_options *options,
                         struct load_result *result)
{
    _cleanup_(generator_freep) struct generator *g = calloc(1, sizeof(*g));
    int r;

    if (!g)
        return -ENOMEM;
    g->options = options;
    g->result = result;
    g->epoll_fd = g->signal_fd = g->timer_fd = -1;
    g->sources = exchange_count_sources(&options->request.to, options->concurrent);
    timeout_queue_init(&g->retrying);
    timeout_queue_init(&g->working);
    timeout_queue_init(&g->holding);
    g->connections = calloc(options->concurrent, sizeof(*g->connections));
    if (!g->connections)
        return -ENOMEM;
    for (uint32_t i = 0; i < options->concurrent; i++) {
        g->connections[i].exchange.fd = -1;
        g->connections[i].next_free = i + 1;
    }
    r = open_descriptors(g);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(g);
    return 0;
}

int generator_run(const struct generator_options *options, struct load_result *result)
{
    _cleanup_(generator_freep) struct generator *g = NULL;
    int r;

    *result = (struct load_result){0};
    r = generator_new(&g, options, result);
    if (r < 0)
        return r;
    run(g);
    return g->error;
}
