/* SPDX-License-Identifier: MIT */
#include "greetd/worker/worker.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "greetd/base/clock.h"
#include "greetd/worker/event.h"

#define WORKER_EVENTS       64
#define WORKER_MAILBOX_SIZE 16

static void set_state(struct worker *worker, enum worker_state state)
{
    atomic_store_explicit(&worker->state, (int)state, memory_order_release);
    (void)eventfd_write(worker->shared->accept.changed_fd, 1);
}

enum worker_state worker_state(const struct worker *worker)
{
    return (enum worker_state)atomic_load_explicit(&worker->state, memory_order_acquire);
}

static void fail(struct worker *worker, int error)
{
    worker->error = error;
    worker->quit = true;
}

static void handle_message(struct worker *worker, const struct worker_message *message)
{
    int r = 0;

    switch (message->kind) {
    case WORKER_ADOPT:
        r = acceptor_adopt(&worker->acceptor, message->generation);
        break;
    case WORKER_HOLD:
        acceptor_hold(&worker->acceptor);
        break;
    case WORKER_RESUME:
        acceptor_resume(&worker->acceptor);
        break;
    case WORKER_STOP:
        acceptor_stop(&worker->acceptor);
        break;
    case WORKER_QUIT:
        worker->quit = true;
        break;
    }
    if (r < 0)
        fail(worker, r);
}

static void read_mailbox(struct worker *worker)
{
    struct worker_message message;
    eventfd_t n;

    worker->has_mail = false;
    (void)eventfd_read(worker->mailbox_fd, &n);
    while (ring_pop(&worker->mailbox, &message)) {
        handle_message(worker, &message);
        atomic_fetch_add_explicit(&worker->n_handled, 1, memory_order_release);
        (void)eventfd_write(worker->shared->accept.changed_fd, 1);
    }
}

static void dispatch(struct worker *worker, uint64_t source, uint64_t now_usec)
{
    switch (event_kind(source)) {
    case EVENT_MAILBOX:
        worker->has_mail = true;
        break;
    case EVENT_LISTENER:
        acceptor_mark_ready(&worker->acceptor, event_index(source));
        break;
    case EVENT_LOOK:
        acceptor_look_again(&worker->acceptor);
        break;
    case EVENT_CLIENT:
        clients_step(&worker->clients, event_index(source), now_usec);
        break;
    }
}

/* How long epoll may wait, in milliseconds rounded up so that it does not return too early; -1 is
 * for ever. */
static int next_timeout(const struct worker *worker, uint64_t now_usec)
{
    uint64_t next = usec_min(clients_next_deadline(&worker->clients),
                             acceptor_next_deadline(&worker->acceptor));

    if (next == USEC_INFINITY)
        return -1;
    if (next <= now_usec)
        return 0;
    return (int)usec_min((next - now_usec + 999) / 1000, INT_MAX);
}

static void run_once(struct worker *worker)
{
    struct epoll_event events[WORKER_EVENTS];
    int n = epoll_wait(worker->epoll_fd, events, WORKER_EVENTS, next_timeout(worker, clock_now()));
    uint64_t now_usec = clock_now();

    for (int i = 0; i < n; i++)
        dispatch(worker, events[i].data.u64, now_usec);
    clients_expire(&worker->clients, now_usec);

    int r = acceptor_run(&worker->acceptor, now_usec);
    if (r < 0)
        fail(worker, r);
}

static uint64_t count_of(const atomic_uint_fast64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* Tells the main thread what it has asked to hear. The fence pairs with that in
 * pool_sums_and_watch(): either what was just counted is seen there, or here that it is wanted. */
static void notify_activity(struct worker *worker)
{
    struct worker_shared *shared = worker->shared;

    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&shared->wants_activity, memory_order_relaxed) &&
        atomic_exchange(&shared->wants_activity, false))
        (void)eventfd_write(shared->accept.changed_fd, 1);
}

/* Keeps what the main thread reads of how busy this worker is. */
static void report_round(struct worker *worker)
{
    const struct metrics_counters *counters = worker->clients.counters;
    uint64_t n_events =
        count_of(&counters->accepted) + count_of(&counters->greeted) + count_of(&counters->ended);

    atomic_store_explicit(&worker->n_rounds, count_of(&worker->n_rounds) + 1, memory_order_relaxed);
    if (n_events == worker->n_events_seen)
        return;
    worker->n_events_seen = n_events;
    atomic_store_explicit(&worker->idle_since_usec,
                          worker->clients.n > 0 ? USEC_INFINITY : clock_now(),
                          memory_order_release);
    notify_activity(worker);
}

/* Announces that accepting is over, and ends once the last client has gone. */
static void advance_state(struct worker *worker)
{
    if (worker_state(worker) == WORKER_ACCEPTING && !acceptor_is_open(&worker->acceptor))
        set_state(worker, WORKER_DRAINING);
    if (worker_state(worker) == WORKER_DRAINING && worker->clients.n == 0)
        worker->quit = true;
}

static void *worker_main(void *p)
{
    struct worker *worker = p;
    int r = acceptor_start(&worker->acceptor);

    if (r < 0)
        fail(worker, r);
    else
        set_state(worker, WORKER_ACCEPTING);

    while (!worker->quit) {
        run_once(worker);
        /* First this: who sees that a message was acted on sees the clients that came before it. */
        report_round(worker);
        if (worker->has_mail)
            read_mailbox(worker);
        clients_retire(&worker->clients);
        advance_state(worker);
    }

    acceptor_close(&worker->acceptor);
    clients_close_all(&worker->clients, clock_now());
    set_state(worker, worker->error < 0 ? WORKER_FAILED : WORKER_ENDED);
    return NULL;
}

/* Has epoll report that FD, an eventfd, was written. */
static int watch(const struct worker *worker, int fd, uint32_t events, enum event_kind source)
{
    struct epoll_event event = {.events = events, .data.u64 = event_pack(source, 0)};

    return epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static int init_mailbox(struct worker *worker)
{
    int r = ring_init(&worker->mailbox, WORKER_MAILBOX_SIZE, sizeof(struct worker_message));

    if (r < 0)
        return r;
    worker->mailbox_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (worker->mailbox_fd < 0)
        return -errno;
    r = watch(worker, worker->mailbox_fd, EPOLLIN, EVENT_MAILBOX);
    if (r < 0)
        return r;
    /* Nobody reads this one: each write is an edge for every worker. */
    return watch(worker, worker->shared->accept.look_fd, EPOLLIN | EPOLLET, EVENT_LOOK);
}

int worker_init(struct worker *worker, unsigned index, size_t capacity,
                struct generation *generation, struct worker_shared *shared)
{
    *worker = (struct worker){.shared = shared, .index = index, .mailbox_fd = -1};
    atomic_init(&worker->idle_since_usec, clock_now());
    worker->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    int r = worker->epoll_fd < 0 ? -errno : 0;

    const struct clients_worker self = {
        .index = index,
        .n_workers = shared->n_workers,
        .epoll_fd = worker->epoll_fd,
        .logger = shared->logger,
        .counters = &shared->accept.metrics.workers[index],
        .metrics_text = shared->metrics_text,
    };
    int memory = clients_init(&worker->clients, capacity, generation, &self);
    acceptor_init(&worker->acceptor, worker->epoll_fd, &worker->clients, &shared->accept);
    if (r >= 0)
        r = memory;
    return r < 0 ? r : init_mailbox(worker);
}

void worker_deinit(struct worker *worker)
{
    struct worker_message message;

    /* What was posted after it had ended. */
    while (ring_pop(&worker->mailbox, &message))
        generation_free(message.generation);
    clients_deinit(&worker->clients);
    ring_deinit(&worker->mailbox);
    worker->mailbox_fd = safe_close(worker->mailbox_fd);
    worker->epoll_fd = safe_close(worker->epoll_fd);
}

int worker_start(struct worker *worker)
{
    char name[16];
    int r = pthread_create(&worker->thread, NULL, worker_main, worker);

    if (r > 0)
        return -r;
    snprintf(name, sizeof(name), "greetd-%u", worker->index);
    pthread_setname_np(worker->thread, name);
    return 0;
}

int worker_post(struct worker *worker, struct worker_message message)
{
    if (!ring_push(&worker->mailbox, &message))
        return -EAGAIN;
    worker_wake(worker);
    return 0;
}

void worker_wake(struct worker *worker)
{
    (void)eventfd_write(worker->mailbox_fd, 1);
}
