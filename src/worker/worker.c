/* SPDX-License-Identifier: MIT */
#include "greetd/worker/worker.h"

#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "greetd/base/clock.h"
#include "greetd/base/thread.h"

#define WORKER_EVENTS       64
#define WORKER_MAILBOX_SIZE 16

static void set_state(struct worker *worker, enum worker_state state)
{
    atomic_store_explicit(&worker->state, (int)state, memory_order_release);
    (void)eventfd_write(worker->context.shared->changed_fd, 1);
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
    case WORKER_REPLACE:
        generation_replace_greetings(worker->clients.newest, message->greetings);
        break;
    case WORKER_HOLD:
        acceptor_hold(&worker->acceptor);
        break;
    case WORKER_RESUME:
        acceptor_resume(&worker->acceptor);
        break;
    case WORKER_STOP:
        worker->context.stopping = true;
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
        (void)eventfd_write(worker->context.shared->changed_fd, 1);
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

static uint64_t next_deadline(const struct worker *worker)
{
    return usec_min(clients_next_deadline(&worker->clients),
                    acceptor_next_deadline(&worker->acceptor));
}

static void run_once(struct worker *worker)
{
    struct epoll_event events[WORKER_EVENTS];
    int n = epoll_wait(worker->context.epoll_fd, events, WORKER_EVENTS,
                       usec_wait_msec(next_deadline(worker), clock_now()));
    uint64_t now_usec = clock_now();

    wall_clock_begin_round(&worker->context.clock);
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

/* Wakes the main thread if it wants that. The fence pairs with that in pool_sums_and_watch():
 * either the new count is seen there, or the wish is seen here. tests/models/scenarios/pool.c tries
 * all executions. */
static void notify_activity(struct worker *worker)
{
    struct worker_shared *shared = worker->context.shared;

    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&shared->wants_activity, memory_order_relaxed) &&
        atomic_exchange_explicit(&shared->wants_activity, false, memory_order_relaxed))
        (void)eventfd_write(shared->changed_fd, 1);
}

/* Updates the atomics from which the main thread sees how busy this worker is. */
static void publish_round(struct worker *worker)
{
    const struct metrics_counters *counters = worker->context.counters;
    uint64_t n_events =
        count_of(&counters->accepted) + count_of(&counters->greeted) + count_of(&counters->ended);

    atomic_store_explicit(&worker->n_rounds, count_of(&worker->n_rounds) + 1, memory_order_relaxed);
    if (n_events == worker->n_events)
        return;
    worker->n_events = n_events;
    atomic_store_explicit(&worker->idle_since_usec,
                          worker->clients.n > 0 ? USEC_INFINITY : clock_now(),
                          memory_order_release);
    notify_activity(worker);
}

/* Drains when accepting is over, and ends after the last client. */
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
        /* First this: a thread that sees a message handled must see the clients before it counted.
         */
        publish_round(worker);
        if (worker->has_mail)
            read_mailbox(worker);
        generation_free_unused(worker->clients.newest);
        advance_state(worker);
    }

    acceptor_close(&worker->acceptor);
    clients_close_all(&worker->clients, clock_now());
    set_state(worker, worker->error < 0 ? WORKER_FAILED : WORKER_ENDED);
    return NULL;
}

/* Adds FD, an eventfd, to epoll. */
static int watch(const struct worker *worker, int fd, uint32_t events, enum event_kind source)
{
    struct epoll_event event = {.events = events, .data.u64 = event_pack(source, 0)};

    return epoll_ctl(worker->context.epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
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
    /* No worker reads this one: each write is an edge for every worker. */
    return watch(worker, worker->context.shared->look_fd, EPOLLIN | EPOLLET, EVENT_LOOK);
}

int worker_init(struct worker *worker, unsigned index, size_t capacity,
                struct generation *generation, struct worker_shared *shared)
{
    struct worker_context *context = &worker->context;

    *worker = (struct worker){
        .context = {.shared = shared,
                    .index = index,
                    .epoll_fd = epoll_create1(EPOLL_CLOEXEC),
                    .counters = &shared->metrics->workers[index]},
        .mailbox_fd = -1,
    };
    int r = context->epoll_fd < 0 ? -errno : 0;

    fortune_random_init(&context->random);
    atomic_init(&worker->idle_since_usec, clock_now());
    acceptor_init(&worker->acceptor, &worker->clients, context);
    int memory = clients_init(&worker->clients, capacity, generation, context);
    if (r >= 0)
        r = memory;
    return r < 0 ? r : init_mailbox(worker);
}

void worker_deinit(struct worker *worker)
{
    struct worker_message message;

    /* Messages that were posted after the end. */
    while (ring_pop(&worker->mailbox, &message)) {
        generation_free(message.generation);
        worker_greeting_free_list(message.greetings);
    }
    clients_deinit(&worker->clients);
    buffer_deinit(&worker->context.rendered);
    wall_clock_deinit(&worker->context.clock);
    ring_deinit(&worker->mailbox);
    worker->mailbox_fd = safe_close(worker->mailbox_fd);
    worker->context.epoll_fd = safe_close(worker->context.epoll_fd);
}

int worker_start(struct worker *worker)
{
    char name[16];
    int r = thread_start(&worker->thread, worker_main, worker);

    if (r < 0)
        return r;
    snprintf(name, sizeof(name), "greetd-%u", worker->context.index);
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
