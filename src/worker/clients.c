/* SPDX-License-Identifier: MIT */
#include "greetd/worker/clients.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "greetd/base/clock.h"
#include "greetd/worker/event.h"
#include "greetd/worker/eviction.h"

/* How many are looked at with one system call. */
#define CLIENTS_LOOK_BATCH 64

enum queue {
    QUEUE_NONE,
    QUEUE_SOON,
    QUEUE_EXPECTING,
    QUEUE_WRITING,
    QUEUE_ACKNOWLEDGING,
    QUEUE_LINGERING,
};

static struct wl *listener_of(const struct conn *conn)
{
    return (struct wl *)((char *)conn->settings - offsetof(struct wl, settings));
}

static struct conn *take_place(struct clients *clients)
{
    struct conn *conn;

    if (clients->vacant) {
        conn = conn_of_entry(clients->vacant);
        clients->vacant = clients->vacant->next;
    } else {
        conn = &clients->table[clients->touched++];
    }
    clients->n++;
    return conn;
}

static void end_client(struct clients *clients, struct conn *conn, uint64_t now_usec)
{
    struct wl *wl = listener_of(conn);
    struct logger_log_connection record;

    timeout_queue_remove(&conn->entry);
    conn_close(conn, now_usec, &record);
    if (logger_wants_connections(clients->logger))
        logger_log_connection(clients->logger, clients->worker, &record);
    metrics_add(&wl->counters->results[record.result], 1);
    metrics_add(&clients->counters->ended, 1);
    wl->n_clients--;

    conn->entry.next = clients->vacant;
    clients->vacant = &conn->entry;
    clients->n--;
    clients->n_ended++;
}

static void wait_in(struct conn *conn, enum queue queue, struct timeout_queue *fifo,
                    uint64_t now_usec)
{
    timeout_queue_push(fifo, &conn->entry, now_usec);
    conn->queue = (unsigned)queue & 7;
}

static void unwatch(struct clients *clients, struct conn *conn)
{
    if (conn->watched)
        (void)epoll_ctl(clients->epoll_fd, EPOLL_CTL_DEL, conn->fd, NULL);
    conn->watched = false;
}

/* Has epoll report EVENTS of the client. Returns false if epoll has no room for one more. */
static bool watch(struct clients *clients, struct conn *conn, uint32_t events)
{
    struct epoll_event event = {
        .events = events,
        .data.u64 = event_pack(EVENT_CLIENT, (size_t)(conn - clients->table)),
    };
    int operation = conn->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

    if (epoll_ctl(clients->epoll_fd, operation, conn->fd, &event) < 0)
        return false;
    conn->watched = true;
    return true;
}

/* Starts the timeout of QUEUE, or starts it anew for a client that has made progress. */
static void wait_on(struct conn *conn, enum queue queue, struct timeout_queue *fifo,
                    uint64_t now_usec)
{
    if (conn->queue != queue || conn->progressed)
        wait_in(conn, queue, fifo, now_usec);
    conn->progressed = false;
}

static bool await_data(struct clients *clients, struct conn *conn, uint64_t now_usec)
{
    if (conn->queue != QUEUE_EXPECTING && !watch(clients, conn, EPOLLIN))
        return false;
    wait_on(conn, QUEUE_EXPECTING, &listener_of(conn)->expecting, now_usec);
    return true;
}

static bool await_write(struct clients *clients, struct conn *conn, uint64_t now_usec)
{
    if (!watch(clients, conn, EPOLLOUT | (conn->input_ended ? 0 : EPOLLIN)))
        return false;
    wait_on(conn, QUEUE_WRITING, &listener_of(conn)->writing, now_usec);
    return true;
}

/* The acknowledgement of our end of stream, and the reading of a local client, are reported only as
 * an edge: an end of stream in both directions is a hang-up at every look (poll(2)). Input that was
 * left unread needs another edge. */
static bool await_acknowledgement(struct clients *clients, struct conn *conn, uint64_t now_usec)
{
    if ((conn->queue != QUEUE_ACKNOWLEDGING || conn->more_input) &&
        !watch(clients, conn, EPOLLIN | EPOLLOUT | EPOLLET))
        return false;
    wait_on(conn, QUEUE_ACKNOWLEDGING, &listener_of(conn)->acknowledging, now_usec);
    return true;
}

static bool await_close(struct clients *clients, struct conn *conn, uint64_t now_usec)
{
    if (conn->queue != QUEUE_LINGERING && !watch(clients, conn, EPOLLIN))
        return false;
    wait_on(conn, QUEUE_LINGERING, &listener_of(conn)->lingering, now_usec);
    return true;
}

static bool await_soon(struct clients *clients, struct conn *conn, uint64_t now_usec)
{
    unwatch(clients, conn);
    wait_in(conn, QUEUE_SOON, &clients->soon, now_usec);
    return true;
}

/* Epoll has no room for one more: the client is looked at again without it. */
static bool await_epoll_memory(struct clients *clients, struct conn *conn, uint64_t now_usec)
{
    if (now_usec < conn_deadline_usec(conn))
        return await_soon(clients, conn, now_usec);
    conn_fail(conn);
    return false;
}

static bool await_next(struct clients *clients, struct conn *conn, enum conn_next next,
                       uint64_t now_usec)
{
    switch (next) {
    case CONN_WAIT_DATA:
        return await_data(clients, conn, now_usec);
    case CONN_WAIT_WRITE:
        return await_write(clients, conn, now_usec);
    case CONN_WAIT_SOON:
        return await_soon(clients, conn, now_usec);
    case CONN_WAIT_ACKNOWLEDGEMENT:
        return await_acknowledgement(clients, conn, now_usec);
    case CONN_WAIT_CLOSE:
        return await_close(clients, conn, now_usec);
    case CONN_CLOSE:
        break;
    }
    return false;
}

/* The one place that acts on what a client's step returned. */
static void follow(struct clients *clients, struct conn *conn, enum conn_next next,
                   uint64_t now_usec)
{
    if (next == CONN_CLOSE || (!await_next(clients, conn, next, now_usec) &&
                               !await_epoll_memory(clients, conn, now_usec)))
        end_client(clients, conn, now_usec);
}

bool clients_can_evict(const struct clients *clients, uint64_t now_usec)
{
    return eviction_candidate(clients->newest, &clients->soon, now_usec);
}

bool clients_evict_oldest(struct clients *clients, uint64_t now_usec)
{
    struct conn *oldest = eviction_candidate(clients->newest, &clients->soon, now_usec);

    /* It may have spoken by now: then it gets what the kernel takes at once, which nearly always is
     * the whole greeting. */
    if (oldest && oldest->state == CONN_EXPECTING)
        (void)conn_step(oldest, now_usec, clients->counters);
    if (oldest)
        end_client(clients, oldest, now_usec);
    return oldest;
}

void clients_add(struct clients *clients, struct wl *wl, int fd, struct peer peer,
                 uint64_t now_usec)
{
    struct conn *conn = take_place(clients);
    uint64_t number = clients->last_number++ * clients->n_workers + clients->worker + 1;

    metrics_add(&clients->counters->accepted, 1);
    wl->n_clients++;
    follow(clients, conn,
           conn_begin(conn, fd, peer, &wl->settings, number, now_usec, clients->counters),
           now_usec);
}

void clients_step(struct clients *clients, size_t index, uint64_t now_usec)
{
    struct conn *conn = &clients->table[index];

    follow(clients, conn, conn_step(conn, now_usec, clients->counters), now_usec);
}

static void expire_queue(struct clients *clients, struct timeout_queue *fifo, uint64_t timeout_usec,
                         uint64_t now_usec)
{
    while (timeout_queue_deadline(fifo, timeout_usec) <= now_usec) {
        struct conn *conn = conn_of_entry(timeout_queue_oldest(fifo));

        follow(clients, conn, conn_expire(conn, now_usec), now_usec);
    }
}

/* Who has spoken in time is greeted, even if epoll has not come to say so yet. */
static void expire_expecting(struct clients *clients, struct wl *wl, uint64_t now_usec)
{
    while (timeout_queue_deadline(&wl->expecting, wl->settings.data_timeout_usec) <= now_usec) {
        struct conn *conn = conn_of_entry(timeout_queue_oldest(&wl->expecting));
        enum conn_next next = conn_step(conn, now_usec, clients->counters);

        follow(clients, conn, next == CONN_WAIT_DATA ? conn_expire(conn, now_usec) : next,
               now_usec);
    }
}

/* Looks at some of those whose time has come. None of them stays where it is in the queue. */
static void poll_soon(struct clients *clients, uint64_t now_usec)
{
    struct pollfd poll_fds[CLIENTS_LOOK_BATCH];
    struct conn *conns[CLIENTS_LOOK_BATCH];
    const struct timeout_entry *end = &clients->soon.sentinel;
    nfds_t n = 0;

    for (struct timeout_entry *entry = clients->soon.sentinel.next;
         n < CLIENTS_LOOK_BATCH && entry != end && entry->since_usec + CONN_SOON_USEC <= now_usec;
         entry = entry->next) {
        conns[n] = conn_of_entry(entry);
        poll_fds[n++] = (struct pollfd){.fd = conn_of_entry(entry)->fd, .events = POLLIN};
    }
    (void)poll(poll_fds, n, 0);
    for (nfds_t i = 0; i < n; i++)
        follow(clients, conns[i],
               conn_poll(conns[i], poll_fds[i].revents, now_usec, clients->counters), now_usec);
}

static void expire_listener(struct clients *clients, struct wl *wl, uint64_t now_usec)
{
    expire_expecting(clients, wl, now_usec);
    expire_queue(clients, &wl->writing, wl->settings.write_timeout_usec, now_usec);
    expire_queue(clients, &wl->acknowledging, wl->settings.write_timeout_usec, now_usec);
    expire_queue(clients, &wl->lingering, wl->settings.linger_usec, now_usec);
}

void clients_expire(struct clients *clients, uint64_t now_usec)
{
    while (timeout_queue_deadline(&clients->soon, CONN_SOON_USEC) <= now_usec)
        poll_soon(clients, now_usec);
    for (struct generation *g = clients->newest; g; g = g->older)
        for (size_t i = 0; i < g->n_listeners; i++)
            expire_listener(clients, &g->listeners[i], now_usec);
}

static uint64_t listener_deadline(const struct wl *wl)
{
    const struct conn_settings *settings = &wl->settings;
    uint64_t next = timeout_queue_deadline(&wl->expecting, settings->data_timeout_usec);

    next = usec_min(next, timeout_queue_deadline(&wl->writing, settings->write_timeout_usec));
    next = usec_min(next, timeout_queue_deadline(&wl->acknowledging, settings->write_timeout_usec));
    return usec_min(next, timeout_queue_deadline(&wl->lingering, settings->linger_usec));
}

uint64_t clients_next_deadline(const struct clients *clients)
{
    uint64_t next = timeout_queue_deadline(&clients->soon, CONN_SOON_USEC);

    FOR_EACH_WORKER_LISTENER(wl, clients->newest)
    next = usec_min(next, listener_deadline(wl));
    return next;
}

void clients_close_all(struct clients *clients, uint64_t now_usec)
{
    for (size_t i = 0; i < clients->touched; i++)
        if (clients->table[i].state != CONN_FREE)
            end_client(clients, &clients->table[i], now_usec);
}

/* Lanes are made by the main thread, and greetings made up in this one. */
static void lend_rendering(struct clients *clients, struct generation *generation)
{
    for (size_t i = 0; i < generation->n_listeners; i++)
        generation->listeners[i].settings.render = &clients->render;
}

void clients_adopt(struct clients *clients, struct generation *generation)
{
    lend_rendering(clients, generation);
    generation->older = clients->newest;
    clients->newest = generation;
}

void clients_retire(struct clients *clients)
{
    struct generation **link = &clients->newest->older, *generation;

    while ((generation = *link)) {
        if (generation_in_use(generation)) {
            link = &generation->older;
        } else {
            *link = generation->older;
            generation_free(generation);
        }
    }
}

int clients_init(struct clients *clients, size_t capacity, struct generation *generation,
                 const struct clients_worker *worker)
{
    *clients = (struct clients){
        .newest = generation,
        .epoll_fd = worker->epoll_fd,
        .logger = worker->logger,
        .counters = worker->counters,
        .worker = worker->index,
        .n_workers = worker->n_workers,
        .capacity = capacity,
        .render.metrics = worker->metrics_text,
    };
    lend_rendering(clients, generation);
    timeout_queue_init(&clients->soon);
    clients->table = calloc(capacity, sizeof(*clients->table));
    return clients->table ? 0 : -ENOMEM;
}

void clients_deinit(struct clients *clients)
{
    for (struct generation *generation; (generation = clients->newest);) {
        clients->newest = generation->older;
        generation_free(generation);
    }
    render_deinit(&clients->render);
    free(clients->table);
    clients->table = NULL;
}
