/* SPDX-License-Identifier: MIT */
#include "greetd/worker/clients.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

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

static struct lane *lane_of(const struct conn *conn)
{
    return (struct lane *)((char *)conn->terms - offsetof(struct lane, terms));
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
    struct lane *lane = lane_of(conn);
    struct connlog_connection story;

    deadline_remove(&conn->entry);
    conn_close(conn, now_usec, &story);
    if (connlog_wants_connections(clients->connlog))
        connlog_connection(clients->connlog, clients->worker, &story);
    metrics_add(&lane->counters->results[story.result], 1);
    metrics_add(&clients->counters->ended, 1);
    lane->n_clients--;

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

/* Has epoll report EVENTS of the client. Returns false if epoll has no room for one more. */
static bool watch(struct clients *clients, struct conn *conn, uint32_t events)
{
    struct epoll_event event = {
        .events = events,
        .data.u64 = source_pack(SOURCE_CLIENT, (size_t)(conn - clients->table)),
    };
    int operation = conn->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

    if (epoll_ctl(clients->epoll_fd, operation, conn->fd, &event) < 0)
        return false;
    conn->watched = true;
    return true;
}

/* Starts the timeout of QUEUE, or starts it anew for a client that has made progress. */
static void wait_on(struct conn *conn, enum queue queue, struct deadline_fifo *fifo,
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
    wait_on(conn, QUEUE_EXPECTING, &lane_of(conn)->expecting, now_usec);
    return true;
}

static bool await_write(struct clients *clients, struct conn *conn, uint64_t now_usec)
{
    if (!watch(clients, conn, EPOLLOUT | (conn->input_ended ? 0 : EPOLLIN)))
        return false;
    wait_on(conn, QUEUE_WRITING, &lane_of(conn)->writing, now_usec);
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
    wait_on(conn, QUEUE_ACKNOWLEDGING, &lane_of(conn)->acknowledging, now_usec);
    return true;
}

static bool await_close(struct clients *clients, struct conn *conn, uint64_t now_usec)
{
    if (conn->queue != QUEUE_LINGERING && !watch(clients, conn, EPOLLIN))
        return false;
    wait_on(conn, QUEUE_LINGERING, &lane_of(conn)->lingering, now_usec);
    return true;
}

static bool await_soon(struct clients *clients, struct conn *conn, uint64_t now_usec)
{
    unwatch(clients, conn);
    wait_in(conn, QUEUE_SOON, &clients->soon, now_usec);
    return true;
}

/* Epoll has no room for one more: the client is looked at again without it. */
static bool await_room(struct clients *clients, struct conn *conn, uint64_t now_usec)
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
    if (next == CONN_CLOSE ||
        (!await_next(clients, conn, next, now_usec) && !await_room(clients, conn, now_usec)))
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

void clients_admit(struct clients *clients, struct lane *lane, int fd, struct peer peer,
                   uint64_t now_usec)
{
    struct conn *conn = take_place(clients);
    uint64_t number = clients->last_number++ * clients->n_workers + clients->worker + 1;

    metrics_add(&clients->counters->accepted, 1);
    lane->n_clients++;
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
        struct conn *conn = conn_of_entry(deadline_oldest(fifo));

        follow(clients, conn, conn_expire(conn, now_usec), now_usec);
    }
}

/* Who has spoken in time is greeted, even if epoll has not come to say so yet. */
static void expire_expecting(struct clients *clients, struct lane *lane, uint64_t now_usec)
{
    while (deadline_next(&lane->expecting, lane->terms.data_timeout_usec) <= now_usec) {
        struct conn *conn = conn_of_entry(deadline_oldest(&lane->expecting));
        enum conn_next next = conn_step(conn, now_usec, clients->counters);

        follow(clients, conn, next == CONN_WAIT_DATA ? conn_expire(conn, now_usec) : next,
               now_usec);
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
        conns[n] = conn_of_entry(entry);
        poll_fds[n++] = (struct pollfd){.fd = conn_of_entry(entry)->fd, .events = POLLIN};
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
    expire_queue(clients, &lane->acknowledging, lane->terms.write_timeout_usec, now_usec);
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
    uint64_t next = deadline_next(&lane->expecting, terms->data_timeout_usec);

    next = deadline_earlier(next, deadline_next(&lane->writing, terms->write_timeout_usec));
    next = deadline_earlier(next, deadline_next(&lane->acknowledging, terms->write_timeout_usec));
    return deadline_earlier(next, deadline_next(&lane->lingering, terms->linger_usec));
}

uint64_t clients_next_deadline(const struct clients *clients)
{
    uint64_t next = deadline_next(&clients->soon, CONN_SOON_USEC);

    FOR_EACH_LANE (lane, clients->newest)
        next = deadline_earlier(next, lane_deadline(lane));
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
