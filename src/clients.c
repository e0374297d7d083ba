/* SPDX-License-Identifier: MIT */
#include "greetd/clients.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/* How many are looked at with one system call. */
#define CLIENTS_LOOK_BATCH 64

enum queue { QUEUE_NONE, QUEUE_SOON, QUEUE_EXPECTING, QUEUE_WRITING, QUEUE_LINGERING };

static struct conn *conn_of(struct deadline_entry *entry)
{
    return (struct conn *)((char *)entry - offsetof(struct conn, entry));
}

static struct lane *lane_of(const struct conn *conn)
{
    return (struct lane *)((char *)conn->terms - offsetof(struct lane, terms));
}

static struct conn *take_place(struct clients *clients)
{
    struct conn *conn;

    if (clients->vacant) {
        conn = conn_of(clients->vacant);
        clients->vacant = clients->vacant->next;
    } else {
        conn = &clients->table[clients->touched++];
    }
    clients->n++;
    return conn;
}

static void end_client(struct clients *clients, struct conn *conn, uint64_t now_usec)
{
    struct lane *lane = lane_of(conn);
    struct connlog_connection story;

    deadline_remove(&conn->entry);
    conn_close(conn, now_usec, &story);
    if (connlog_wants_connections(clients->connlog))
        connlog_connection(clients->connlog, clients->worker, &story);
    metrics_add(&lane->counters->results[story.result], 1);
    metrics_add(&clients->counters->ended, 1);
    lane->generation->n_clients--;

    conn->entry.next = clients->vacant;
    clients->vacant = &conn->entry;
    clients->n--;
    clients->n_ended++;
}

static void wait_in(struct conn *conn, enum queue queue, struct deadline_fifo *fifo,
                    uint64_t now_usec)
{
    deadline_push(fifo, &conn->entry, now_usec);
    conn->queue = (unsigned)queue & 7;
}

static void unwatch(struct clients *clients, struct conn *conn)
{
    if (conn->watched)
        (void)epoll_ctl(clients->epoll_fd, EPOLL_CTL_DEL, conn->fd, NULL);
    conn->watched = false;
}

/* Has epoll announce EVENTS of the client. Returns false if it has no room for one more. */
static bool watch(struct clients *clients, struct conn *conn, uint32_t events)
{
    struct epoll_event event = {
        .events = events,
        .data.u64 = source_pack(SOURCE_CLIENT, (size_t)(conn - clients->table)),
    };
    int operation = conn->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

    if (epoll_ctl(clients->epoll_fd, operation, conn->fd, &event) < 0) {
        conn_fail(conn);
        return false;
    }
    conn->watched = true;
    return true;
}

static bool await_data(struct clients *clients, struct conn *conn, uint64_t now_usec)
{
    if (conn->queue == QUEUE_EXPECTING)
        return true;
    if (!watch(clients, conn, EPOLLIN))
        return false;
    wait_in(conn, QUEUE_EXPECTING, &lane_of(conn)->expecting, now_usec);
    return true;
}

static bool await_write(struct clients *clients, struct conn *conn, uint64_t now_usec)
{
    if (!watch(clients, conn, EPOLLOUT | (conn_reads(conn) ? EPOLLIN : 0)))
        return false;
    if (conn->queue != QUEUE_WRITING || conn->progressed)
        wait_in(conn, QUEUE_WRITING, &lane_of(conn)->writing, now_usec);
    conn->progressed = false;
    return true;
}

/* Past the bound of its input, of interest is only that the client goes. */
static bool watch_close(struct clients *clients, struct conn *conn)
{
    return (conn->watched && conn_reads(conn)) ||
           watch(clients, conn, conn_reads(conn) ? EPOLLIN : EPOLLRDHUP);
}

static bool await_close(struct clients *clients, struct conn *conn, uint64_t now_usec)
{
    if (!watch_close(clients, conn))
        return false;
    if (conn->queue == QUEUE_NONE || conn->queue == QUEUE_SOON)
        wait_in(conn, QUEUE_LINGERING, &lane_of(conn)->lingering, now_usec);
    return true;
}

/* As long as it takes a part of what it has been sent, now and then, a greeted client is as one
 * that is written to. */
static bool await_acknowledgement(struct clients *clients, struct conn *conn, uint64_t now_usec)
{
    if (!watch_close(clients, conn))
        return false;
    wait_in(conn, QUEUE_WRITING, &lane_of(conn)->writing, now_usec);
    return true;
}

/* The one place that acts on what a client's step returned. */
static void follow(struct clients *clients, struct conn *conn, enum conn_next next,
                   uint64_t now_usec)
{
    bool waiting = false;

    switch (next) {
    case CONN_WAIT_DATA:
        waiting = await_data(clients, conn, now_usec);
        break;
    case CONN_WAIT_WRITE:
        waiting = await_write(clients, conn, now_usec);
        break;
    case CONN_WAIT_SOON:
        unwatch(clients, conn);
        wait_in(conn, QUEUE_SOON, &clients->soon, now_usec);
        waiting = true;
        break;
    case CONN_WAIT_CLOSE:
        waiting = await_close(clients, conn, now_usec);
        break;
    case CONN_WAIT_ACKNOWLEDGEMENT:
        waiting = await_acknowledgement(clients, conn, now_usec);
        break;
    case CONN_CLOSE:
        break;
    }
    if (!waiting)
        end_client(clients, conn, now_usec);
}

static struct deadline_entry *older(struct deadline_entry *a, struct deadline_entry *b)
{
    return !b || (a && a->since_usec <= b->since_usec) ? a : b;
}

/* The one that has waited longest in the queues of all lanes: QUEUE_EXPECTING or _LINGERING. */
static struct deadline_entry *oldest_in(const struct clients *clients, enum queue queue)
{
    struct deadline_entry *oldest = NULL;

    for (struct generation *g = clients->newest; g; g = g->older)
        for (size_t i = 0; i < g->n_lanes; i++)
            oldest =
                older(oldest, deadline_oldest(queue == QUEUE_EXPECTING ? &g->lanes[i].expecting
                                                                       : &g->lanes[i].lingering));
    return oldest;
}

/* Among those who were greeted just now may be some who are not greeted yet: they wait for the
 * kernel to have memory. */
static struct deadline_entry *oldest_just_greeted(const struct clients *clients)
{
    struct deadline_entry *oldest = deadline_oldest(&clients->soon);

    while (oldest && oldest != &clients->soon.sentinel && conn_of(oldest)->state != CONN_GREETED)
        oldest = oldest->next;
    return oldest != &clients->soon.sentinel ? oldest : NULL;
}

/* Those who linger have had longer to close than those who were greeted just now. Who never speaks
 * must not keep out those who would; but who has come just now may be about to. */
static struct conn *oldest_dispensable(const struct clients *clients)
{
    struct deadline_entry *oldest = oldest_in(clients, QUEUE_LINGERING);

    if (!oldest)
        oldest = older(oldest_in(clients, QUEUE_EXPECTING), oldest_just_greeted(clients));
    return oldest ? conn_of(oldest) : NULL;
}

bool clients_can_let_go(const struct clients *clients)
{
    return oldest_dispensable(clients);
}

bool clients_let_go_oldest(struct clients *clients, uint64_t now_usec)
{
    struct conn *oldest = oldest_dispensable(clients);

    /* It may have spoken by now: then it gets what the kernel takes at once, which nearly always is
     * the whole greeting. */
    if (oldest && oldest->state == CONN_EXPECTING)
        (void)conn_step(oldest, now_usec, clients->counters);
    if (oldest)
        end_client(clients, oldest, now_usec);
    return oldest;
}

void clients_admit(struct clients *clients, struct lane *lane, int fd, struct peer peer,
                   uint64_t now_usec)
{
    struct conn *conn = take_place(clients);
    uint64_t number = clients->last_number++ * clients->n_workers + clients->worker + 1;

    metrics_add(&clients->counters->accepted, 1);
    lane->generation->n_clients++;
    follow(clients, conn,
           conn_begin(conn, fd, peer, &lane->terms, number, now_usec, clients->counters), now_usec);
}

void clients_step(struct clients *clients, size_t index, uint64_t now_usec)
{
    struct conn *conn = &clients->table[index];

    follow(clients, conn, conn_step(conn, now_usec, clients->counters), now_usec);
}

static void expire_queue(struct clients *clients, struct deadline_fifo *fifo, uint64_t timeout_usec,
                         uint64_t now_usec)
{
    while (deadline_next(fifo, timeout_usec) <= now_usec) {
        struct conn *conn = conn_of(deadline_oldest(fifo));

        follow(clients, conn, conn_expire(conn), now_usec);
    }
}

/* Who has spoken in time is greeted, even if epoll has not come to say so yet. */
static void expire_expecting(struct clients *clients, struct lane *lane, uint64_t now_usec)
{
    while (deadline_next(&lane->expecting, lane->terms.data_timeout_usec) <= now_usec) {
        struct conn *conn = conn_of(deadline_oldest(&lane->expecting));
        enum conn_next next = conn_step(conn, now_usec, clients->counters);

        follow(clients, conn, next == CONN_WAIT_DATA ? conn_expire(conn) : next, now_usec);
    }
}

/* Looks at some of those whose time has come. None of them stays where it is in the queue. */
static void look_at_oldest(struct clients *clients, uint64_t now_usec)
{
    struct pollfd poll_fds[CLIENTS_LOOK_BATCH];
    struct conn *conns[CLIENTS_LOOK_BATCH];
    const struct deadline_entry *end = &clients->soon.sentinel;
    nfds_t n = 0;

    for (struct deadline_entry *entry = clients->soon.sentinel.next;
         n < CLIENTS_LOOK_BATCH && entry != end && entry->since_usec + CONN_SOON_USEC <= now_usec;
         entry = entry->next) {
        conns[n] = conn_of(entry);
        poll_fds[n++] = (struct pollfd){.fd = conn_of(entry)->fd, .events = POLLIN};
    }
    (void)poll(poll_fds, n, 0);
    for (nfds_t i = 0; i < n; i++)
        follow(clients, conns[i],
               conn_look(conns[i], poll_fds[i].revents, now_usec, clients->counters), now_usec);
}

static void expire_lane(struct clients *clients, struct lane *lane, uint64_t now_usec)
{
    expire_expecting(clients, lane, now_usec);
    expire_queue(clients, &lane->writing, lane->terms.write_timeout_usec, now_usec);
    expire_queue(clients, &lane->lingering, lane->terms.linger_usec, now_usec);
}

void clients_expire(struct clients *clients, uint64_t now_usec)
{
    while (deadline_next(&clients->soon, CONN_SOON_USEC) <= now_usec)
        look_at_oldest(clients, now_usec);
    for (struct generation *g = clients->newest; g; g = g->older)
        for (size_t i = 0; i < g->n_lanes; i++)
            expire_lane(clients, &g->lanes[i], now_usec);
}

static uint64_t lane_deadline(const struct lane *lane)
{
    const struct conn_terms *terms = &lane->terms;

    return deadline_earlier(
        deadline_next(&lane->expecting, terms->data_timeout_usec),
        deadline_earlier(deadline_next(&lane->writing, terms->write_timeout_usec),
                         deadline_next(&lane->lingering, terms->linger_usec)));
}

uint64_t clients_next_deadline(const struct clients *clients)
{
    uint64_t next = deadline_next(&clients->soon, CONN_SOON_USEC);

    for (const struct generation *g = clients->newest; g; g = g->older)
        for (size_t i = 0; i < g->n_lanes; i++)
            next = deadline_earlier(next, lane_deadline(&g->lanes[i]));
    return next;
}

void clients_abandon(struct clients *clients, uint64_t now_usec)
{
    for (size_t i = 0; i < clients->touched; i++)
        if (clients->table[i].state != CONN_FREE)
            end_client(clients, &clients->table[i], now_usec);
}

/* Lanes are made by the main thread, and greetings made up in this one. */
static void lend_rendering(struct clients *clients, struct generation *generation)
{
    for (size_t i = 0; i < generation->n_lanes; i++)
        generation->lanes[i].terms.rendering = &clients->rendering;
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
        .connlog = worker->connlog,
        .counters = worker->counters,
        .worker = worker->index,
        .n_workers = worker->n_workers,
        .capacity = capacity,
        .rendering.metrics = worker->metrics_text,
    };
    lend_rendering(clients, generation);
    deadline_fifo_init(&clients->soon);
    clients->table = calloc(capacity, sizeof(*clients->table));
    return clients->table ? 0 : -ENOMEM;
}

void clients_deinit(struct clients *clients)
{
    for (struct generation *generation; (generation = clients->newest);) {
        clients->newest = generation->older;
        generation_free(generation);
    }
    rendering_deinit(&clients->rendering);
    free(clients->table);
    clients->table = NULL;
}
