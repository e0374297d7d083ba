/* SPDX-License-Identifier: MIT */
#include "greet/generator.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

#include "greet/dial.h"
#include "greet/progress.h"
#include "greetd/base/cleanup.h"
#include "greetd/base/clock.h"
#include "greetd/base/timeout_queue.h"

/* Small, so that none waits long for its turn while the others are begun or read. */
#define EVENTS      32
#define START_BATCH 32

#define RETRY_USEC 1000

/* Events of connections carry their index; the others are these. */
#define EVENT_SIGNAL UINT32_MAX
#define EVENT_TIMER  (UINT32_MAX - 1)

enum state { STATE_FREE, STATE_RETRYING, STATE_WORKING, STATE_HOLDING };

struct connection {
    struct timeout_entry entry; /* in the queue of its state */
    uint64_t intended_usec;     /* when it should have begun */
    uint64_t begun_usec;        /* when it did */
    struct exchange exchange;
    enum state state;
    uint32_t next_free;
};

struct generator {
    const struct generator_options *options;
    struct generator_result *result;
    struct progress progress;
    int epoll_fd, signal_fd, timer_fd;
    int error; /* negative errno that ends the run */
    unsigned sources;
    uint64_t begun_usec;
    uint64_t armed_usec; /* what the timer is set to */
    uint64_t retry_usec; /* when to try the oldest of the retrying */
    uint64_t started;
    uint32_t active; /* not STATE_FREE */
    uint32_t free;   /* the first of a list, which ends at options->concurrent */
    struct timeout_queue retrying, working, holding;
    struct connection *connections;
    char buffer[EXCHANGE_BUFFER_SIZE];
};

static uint32_t index_of(const struct generator *g, const struct connection *connection)
{
    return (uint32_t)(connection - g->connections);
}

static struct connection *longest_in(const struct timeout_queue *fifo)
{
    struct timeout_entry *entry = timeout_queue_oldest(fifo);

    return entry ? (struct connection *)((char *)entry - offsetof(struct connection, entry)) : NULL;
}

/* Closes and frees its place. The server's FIN has come first unless the connection is lost, so it
 * is the server's side that stays in TIME-WAIT (RFC 9293, 3.6) and the local port can be used again
 * at once: an ordinary close(2) is enough, and does not spoil the end that is being measured. */
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
    struct generator_result *result = g->result;
    uint64_t now = clock_now();

    result->outcomes[outcome]++;
    result->finished++;
    result->spent_usec = now - g->begun_usec;
    if (outcome == OUTCOME_OK)
        histogram_add(&result->usec, now - connection->intended_usec);

    if (outcome == OUTCOME_OK && g->options->hold_usec > 0) {
        connection->state = STATE_HOLDING;
        timeout_queue_push(&g->holding, &connection->entry, now);
    } else {
        release(g, connection);
    }
}

/* Edge-triggered: what can be read is read to its end each time, and a connection that is held
 * after its end of stream causes no more events. */
static int watch(struct generator *g, int fd, uint32_t index, uint32_t events)
{
    struct epoll_event event = {.events = events | EPOLLET, .data.u32 = index};

    return epoll_ctl(g->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

/* The queue of a Unix socket is full, and nothing tells when that ends. One asks for all. */
static void retry_later(struct generator *g, struct connection *connection, uint64_t now)
{
    g->retry_usec = now + RETRY_USEC;
    if (connection->state == STATE_RETRYING)
        return;
    connection->state = STATE_RETRYING;
    timeout_queue_push(&g->retrying, &connection->entry, now);
}

static void connect_one(struct generator *g, struct connection *connection, uint64_t now)
{
    uint32_t index = index_of(g, connection);
    in_addr_t from = g->sources > 1 ? dial_source(index % g->sources) : htonl(INADDR_ANY);
    int r = dial(&connection->exchange.fd, &g->options->address, from);

    if (r == -EAGAIN) {
        retry_later(g, connection, now);
        return;
    }
    if (r < 0 && !dial_error_is_local(r)) {
        finish(g, connection, outcome_from_errno(-r));
        return;
    }
    connection->state = STATE_WORKING;
    timeout_queue_push(&g->working, &connection->entry, now);
    if (r >= 0)
        r = watch(g, connection->exchange.fd, index,
                  g->options->plan.send_size > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN);
    if (r < 0)
        g->error = r;
}

/* When the next connection should begin; now, unless there is a rate. */
static uint64_t next_start(const struct generator *g, uint64_t now)
{
    if (g->options->rate == 0)
        return now;
    return g->begun_usec + g->started * 1000000 / g->options->rate;
}

static bool can_start(const struct generator *g)
{
    return g->started < g->options->connections && g->active < g->options->concurrent;
}

static bool is_done(const struct generator *g)
{
    return g->error < 0 || g->result->interrupted ||
           (g->started == g->options->connections && g->active == 0);
}

/* Begins those whose time has come. Their latency counts from when they should have begun: if a
 * server that stands still keeps the generator from beginning more, the wait they would have had is
 * in the figures, and not left out by coordination with the server ("coordinated omission"). */
static void start_due(struct generator *g)
{
    for (unsigned i = 0; i < START_BATCH && can_start(g) && !is_done(g); i++) {
        struct connection *connection = &g->connections[g->free];
        uint64_t now = clock_now(), intended = next_start(g, now);

        if (intended > now)
            return;
        g->free = connection->next_free;
        *connection =
            (struct connection){.exchange.fd = -1, .intended_usec = intended, .begun_usec = now};
        g->active++;
        g->started++;
        connect_one(g, connection, now);
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
    outcome = exchange_step(&connection->exchange, &g->options->plan, g->buffer);
    if (outcome != EXCHANGE_PENDING)
        finish(g, connection, outcome);
}

static void retry(struct generator *g, uint64_t now)
{
    struct connection *connection;

    while (now >= g->retry_usec && !is_done(g) && (connection = longest_in(&g->retrying))) {
        if (now >= usec_add(connection->begun_usec, g->options->timeout_usec))
            finish(g, connection, OUTCOME_TIMEOUT);
        else
            connect_one(g, connection, now);
    }
}

static void expire(struct generator *g)
{
    const struct generator_options *options = g->options;
    uint64_t now = clock_now();

    while (timeout_queue_deadline(&g->holding, options->hold_usec) <= now)
        release(g, longest_in(&g->holding));
    while (timeout_queue_deadline(&g->working, options->timeout_usec) <= now)
        finish(g, longest_in(&g->working), OUTCOME_TIMEOUT);
    retry(g, now);
}

/* For epoll_wait(2): how long nothing is due, besides what the timer tells. */
static int wait_msec(const struct generator *g, uint64_t now)
{
    uint64_t due = g->progress.due_usec;

    if (longest_in(&g->retrying))
        due = usec_min(due, g->retry_usec);
    due = usec_min(due, timeout_queue_deadline(&g->working, g->options->timeout_usec));
    due = usec_min(due, timeout_queue_deadline(&g->holding, g->options->hold_usec));
    if (due == USEC_INFINITY)
        return -1;
    if (due <= now)
        return 0;
    return (due - now) / 1000 < INT_MAX ? (int)((due - now - 1) / 1000 + 1) : INT_MAX;
}

/* A millisecond, the unit of epoll_wait(2), is too coarse for beginnings: to begin late would count
 * as the server's delay. */
static void arm(struct generator *g, uint64_t usec)
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
        arm(g, start);
    n = epoll_wait(g->epoll_fd, events, EVENTS, start <= now ? 0 : wait_msec(g, now));
    if (n < 0 && errno != EINTR)
        g->error = -errno;
    /* None is stale: a descriptor has one event at most, and only its own step closes it here. */
    for (int i = 0; i < n; i++)
        step(g, events[i].data.u32);
}

static void run(struct generator *g)
{
    const struct generator_result *result = g->result;

    g->begun_usec = clock_now();
    g->progress = progress_begin(g->options->terminal, g->options->connections);
    while (!is_done(g)) {
        start_due(g);
        if (is_done(g))
            break;
        wait_and_step(g);
        expire(g);
        progress_print(&g->progress, result->finished,
                       result->finished - result->outcomes[OUTCOME_OK], g->active);
    }
    progress_end(&g->progress);
    g->result->unfinished = g->started - result->finished;
}

static int open_descriptors(struct generator *g)
{
    sigset_t signals;
    int r;

    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
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
                         struct generator_result *result)
{
    _cleanup_(generator_freep) struct generator *g = calloc(1, sizeof(*g));
    int r;

    if (!g)
        return -ENOMEM;
    g->options = options;
    g->result = result;
    g->epoll_fd = g->signal_fd = g->timer_fd = -1;
    g->sources = dial_sources(&options->address, options->concurrent);
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

int generator_run(const struct generator_options *options, struct generator_result *result)
{
    _cleanup_(generator_freep) struct generator *g = NULL;
    int r;

    *result = (struct generator_result){0};
    r = generator_new(&g, options, result);
    if (r < 0)
        return r;
    run(g);
    return g->error;
}
