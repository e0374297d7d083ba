/* SPDX-License-Identifier: MIT */
#include "greetd/worker/clients.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>

#include "greetd/base/clock.h"
#include "greetd/journal/record.h"
#include "greetd/worker/drip.h"
#include "greetd/worker/eviction.h"

/* How many clients one poll(2) is for. */
#define CLIENTS_POLL_BATCH 64

/* How many lines of DripSec= a listener sends before other clients have their turn. */
#define CLIENTS_DRIP_BATCH 64

static const uint64_t soon_usec[CONN_POLLS] = {CONN_SOON_USEC, CONN_AGAIN_USEC};

enum queue {
    QUEUE_NONE,
    QUEUE_SOON,
    QUEUE_EXPECTING,
    QUEUE_WRITING,
    QUEUE_DRIPPING,
    QUEUE_ACKNOWLEDGING,
    QUEUE_LINGERING,
};

static struct conn *take_place(struct clients *clients)
{
    struct conn *conn;

    if (clients->vacant) {
        conn = conn_of_entry(clients->vacant);
        clients->vacant = clients->vacant->next;
    } else {
        conn = &clients->table[clients->n_used++];
    }
    clients->n++;
    return conn;
}

/* Closes a client that is in no queue. */
static void end_client(struct clients *clients, struct conn *conn, const struct peer *own_peer,
                       uint64_t now_usec)
{
    struct connection_record record;

    conn_close(conn, now_usec, &record);
    if (conn->proxied)
        record.proxy = *own_peer;
    conn_account(conn, &record, clients->context);
    clients->n_ended++;
}

static void close_client(struct clients *clients, struct conn *conn, uint64_t now_usec)
{
    timeout_queue_remove(&conn->entry);
    end_client(clients, conn, &clients->own_peers[conn - clients->table], now_usec);
    conn->entry.next = clients->vacant;
    clients->vacant = &conn->entry;
    clients->n--;
}

static void enqueue(struct conn *conn, enum queue queue, struct timeout_queue *fifo,
                    uint64_t now_usec)
{
    timeout_queue_push(fifo, &conn->entry, now_usec);
    conn->queue = (unsigned)queue & 7;
}

static void unwatch(struct clients *clients, struct conn *conn)
{
    if (conn->watched)
        (void)epoll_ctl(clients->context->epoll_fd, EPOLL_CTL_DEL, conn->fd, NULL);
    conn->watched = false;
}

/* Adds the client to epoll for EVENTS. Returns false if epoll has no memory for one more. */
static bool watch(struct clients *clients, struct conn *conn, uint32_t events)
{
    struct epoll_event event = {
        .events = events,
        .data.u64 = event_pack(EVENT_CLIENT, (size_t)(conn - clients->table)),
    };
    int operation = conn->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

    if (epoll_ctl(clients->context->epoll_fd, operation, conn->fd, &event) < 0)
        return false;
    conn->watched = true;
    return true;
}

/* Starts the timeout of QUEUE, or restarts it for a client that has made progress. */
static void start_timeout(struct conn *conn, enum queue queue, struct timeout_queue *fifo,
                          uint64_t now_usec)
{
    if (conn->queue != queue || conn->progressed)
        enqueue(conn, queue, fifo, now_usec);
    conn->progressed = false;
}

/* Waits for EVENTS of the socket, or for the timeout of QUEUE. REARM: also if it waits for them
 * already. */
static bool await_events(struct clients *clients, struct conn *conn, enum queue queue,
                         struct timeout_queue *fifo, uint32_t events, bool rearm, uint64_t now_usec)
{
    if ((conn->queue != queue || rearm) && !watch(clients, conn, events))
        return false;
    start_timeout(conn, queue, fifo, now_usec);
    return true;
}

/* Waits only for the timeout of QUEUE. */
static bool await_time(struct clients *clients, struct conn *conn, enum queue queue,
                       struct timeout_queue *fifo, uint64_t now_usec)
{
    unwatch(clients, conn);
    enqueue(conn, queue, fifo, now_usec);
    return true;
}

static bool await_soon(struct clients *clients, struct conn *conn, uint64_t now_usec)
{
    return await_time(clients, conn, QUEUE_SOON, &clients->soon[0], now_usec);
}

/* Without room in epoll the client is polled again and again. */
static bool await_epoll_memory(struct clients *clients, struct conn *conn, uint64_t now_usec)
{
    if (!conn_is_overdue(conn, now_usec))
        return await_soon(clients, conn, now_usec);
    conn_fail(conn);
    return false;
}

/* The acknowledgement of our end of stream, and the reading of a local client, are edges: with an
 * end of stream in both directions a level-triggered epoll would report a hang-up without end
 * (poll(2)). Unread input needs another edge. */
static bool await_next(struct clients *clients, struct conn *conn, enum conn_next next,
                       uint64_t now_usec)
{
    struct worker_listener *wl = conn_listener(conn);

    switch (next) {
    case CONN_WAIT_DATA:
        return await_events(clients, conn, QUEUE_EXPECTING, &wl->expecting, EPOLLIN, false,
                            now_usec);
    case CONN_WAIT_WRITE:
        return await_events(clients, conn, QUEUE_WRITING, conn_taking_queue(conn),
                            EPOLLOUT | (conn->input_ended ? 0 : EPOLLIN), true, now_usec);
    case CONN_WAIT_DRIP:
        return await_time(clients, conn, QUEUE_DRIPPING, &wl->dripping, now_usec);
    case CONN_WAIT_SOON:
        return await_soon(clients, conn, now_usec);
    case CONN_WAIT_ACKNOWLEDGEMENT:
        return await_events(clients, conn, QUEUE_ACKNOWLEDGING, conn_taking_queue(conn),
                            EPOLLIN | EPOLLOUT | EPOLLET, conn->more_input, now_usec);
    case CONN_WAIT_CLOSE:
        return await_events(clients, conn, QUEUE_LINGERING, &wl->lingering, EPOLLIN, false,
                            now_usec);
    case CONN_CLOSE:
        break;
    }
    return false;
}

/* The one place that acts on what a step of a client has returned. */
static void apply(struct clients *clients, struct conn *conn, enum conn_next next,
                  uint64_t now_usec)
{
    if (next == CONN_CLOSE || (!await_next(clients, conn, next, now_usec) &&
                               !await_epoll_memory(clients, conn, now_usec)))
        close_client(clients, conn, now_usec);
}

size_t clients_places_kept(const struct clients *clients)
{
    const struct worker_shared *shared = clients->context->shared;

    return generation_places_kept(clients->newest, shared->max_connections / shared->metrics->n);
}

bool clients_can_evict(const struct clients *clients, uint64_t now_usec)
{
    return eviction_candidate(clients->newest, clients->soon, now_usec);
}

bool clients_evict_oldest(struct clients *clients, uint64_t now_usec)
{
    struct conn *oldest = eviction_candidate(clients->newest, clients->soon, now_usec);

    /* Its header or data may have arrived by now. Then it gets what the kernel takes at once,
     * nearly always the whole greeting. */
    if (oldest && conn_is_expected_to_send(oldest))
        (void)conn_step(oldest, now_usec, clients->context);
    if (oldest)
        close_client(clients, oldest, now_usec);
    return oldest;
}

/* Returns the number of one more client, unique without a shared counter. */
static uint64_t count_client(struct clients *clients, struct worker_listener *wl)
{
    struct worker_context *context = clients->context;

    metrics_add(&context->counters->accepted, 1);
    wl->n_clients++;
    return clients->last_number++ * context->shared->metrics->n + context->index + 1;
}

void clients_add(struct clients *clients, const struct conn_accepted *accepted, uint64_t now_usec)
{
    struct conn *conn = take_place(clients);
    uint64_t number = count_client(clients, accepted->listener);

    if (accepted->listener->config->settings.proxy_protocol)
        clients->own_peers[conn - clients->table] = accepted->peer;
    apply(clients, conn, conn_begin(conn, accepted, number, now_usec, clients->context), now_usec);
}

void clients_add_and_close(struct clients *clients, const struct conn_accepted *accepted,
                           uint64_t now_usec)
{
    struct conn conn;

    (void)conn_begin(&conn, accepted, count_client(clients, accepted->listener), now_usec,
                     clients->context);
    end_client(clients, &conn, &accepted->peer, now_usec);
}

void clients_step(struct clients *clients, size_t index, uint64_t now_usec)
{
    struct conn *conn = &clients->table[index];

    apply(clients, conn, conn_step(conn, now_usec, clients->context), now_usec);
}

static void expire_queue(struct clients *clients, struct timeout_queue *fifo, uint64_t timeout_usec,
                         uint64_t now_usec)
{
    while (timeout_queue_deadline(fifo, timeout_usec) <= now_usec) {
        struct conn *conn = conn_of_entry(timeout_queue_oldest(fifo));

        apply(clients, conn, conn_expire(conn, now_usec), now_usec);
    }
}

/* A client whose data arrived in time is greeted, even if epoll has not reported them yet. */
static void expire_expecting(struct clients *clients, struct worker_listener *wl, uint64_t now_usec)
{
    uint64_t timeout_usec = wl->config->settings.data_timeout_usec;

    while (timeout_queue_deadline(&wl->expecting, timeout_usec) <= now_usec) {
        struct conn *conn = conn_of_entry(timeout_queue_oldest(&wl->expecting));
        enum conn_next next = conn_step(conn, now_usec, clients->context);

        apply(clients, conn, next == CONN_WAIT_DATA ? conn_expire(conn, now_usec) : next, now_usec);
    }
}

static void drip_lines(struct clients *clients, struct worker_listener *wl, uint64_t now_usec)
{
    for (unsigned n = 0; n < CLIENTS_DRIP_BATCH && drip_deadline(wl, clients->context) <= now_usec;
         n++) {
        struct conn *conn = conn_of_entry(timeout_queue_oldest(&wl->dripping));

        apply(clients, conn, conn_step(conn, now_usec, clients->context), now_usec);
    }
}

/* Continues with a client after its poll TURN. */
static void continue_polled(struct clients *clients, struct conn *conn, unsigned turn,
                            short revents, uint64_t now_usec)
{
    if (turn == 0 && revents == 0 && conn->state == CONN_GREETED)
        enqueue(conn, QUEUE_SOON, &clients->soon[1], conn->entry.since_usec);
    else
        apply(clients, conn, conn_poll(conn, revents, now_usec, clients->context), now_usec);
}

/* Polls a batch of the clients whose poll TURN is due. None of them keeps its place in the queue.
 */
static void poll_soon(struct clients *clients, unsigned turn, uint64_t now_usec)
{
    struct pollfd poll_fds[CLIENTS_POLL_BATCH];
    struct conn *conns[CLIENTS_POLL_BATCH];
    const struct timeout_entry *end = &clients->soon[turn].sentinel;
    nfds_t n = 0;

    for (struct timeout_entry *entry = end->next;
         n < CLIENTS_POLL_BATCH && entry != end && entry->since_usec + soon_usec[turn] <= now_usec;
         entry = entry->next) {
        conns[n] = conn_of_entry(entry);
        poll_fds[n++] = (struct pollfd){.fd = conn_of_entry(entry)->fd, .events = POLLIN};
    }
    (void)poll(poll_fds, n, 0);
    for (nfds_t i = 0; i < n; i++)
        continue_polled(clients, conns[i], turn, poll_fds[i].revents, now_usec);
}

static void expire_listener(struct clients *clients, struct worker_listener *wl, uint64_t now_usec)
{
    const struct greeting_settings *settings = &wl->config->settings;

    expire_expecting(clients, wl, now_usec);
    expire_queue(clients, &wl->writing, settings->write_timeout_usec, now_usec);
    expire_queue(clients, &wl->acknowledging, settings->write_timeout_usec, now_usec);
    expire_queue(clients, &wl->refused, settings->write_timeout_usec, now_usec);
    expire_queue(clients, &wl->lingering, settings->linger_usec, now_usec);
    drip_lines(clients, wl, now_usec);
}

void clients_expire(struct clients *clients, uint64_t now_usec)
{
    for (unsigned turn = 0; turn < CONN_POLLS; turn++)
        while (timeout_queue_deadline(&clients->soon[turn], soon_usec[turn]) <= now_usec)
            poll_soon(clients, turn, now_usec);
    FOR_EACH_WORKER_LISTENER (wl, clients->newest)
        expire_listener(clients, wl, now_usec);
}

static uint64_t listener_deadline(const struct clients *clients, const struct worker_listener *wl)
{
    const struct greeting_settings *settings = &wl->config->settings;
    uint64_t next = drip_wake_up(wl, clients->context);

    next = usec_min(next, timeout_queue_deadline(&wl->expecting, settings->data_timeout_usec));
    next = usec_min(next, timeout_queue_deadline(&wl->writing, settings->write_timeout_usec));
    next = usec_min(next, timeout_queue_deadline(&wl->acknowledging, settings->write_timeout_usec));
    next = usec_min(next, timeout_queue_deadline(&wl->refused, settings->write_timeout_usec));
    return usec_min(next, timeout_queue_deadline(&wl->lingering, settings->linger_usec));
}

uint64_t clients_next_deadline(const struct clients *clients)
{
    /* No worker wakes up for the first poll. */
    uint64_t next = usec_min(timeout_queue_deadline(&clients->soon[0], CONN_AGAIN_USEC),
                             timeout_queue_deadline(&clients->soon[1], CONN_AGAIN_USEC));

    FOR_EACH_WORKER_LISTENER (wl, clients->newest)
        next = usec_min(next, listener_deadline(clients, wl));
    return next;
}

void clients_close_all(struct clients *clients, uint64_t now_usec)
{
    for (size_t i = 0; i < clients->n_used; i++)
        if (clients->table[i].state != CONN_FREE)
            close_client(clients, &clients->table[i], now_usec);
}

void clients_adopt(struct clients *clients, struct generation *generation)
{
    generation->older = clients->newest;
    clients->newest = generation;
}

int clients_init(struct clients *clients, size_t capacity, struct generation *generation,
                 struct worker_context *context)
{
    *clients = (struct clients){.context = context, .newest = generation, .capacity = capacity};
    for (unsigned turn = 0; turn < CONN_POLLS; turn++)
        timeout_queue_init(&clients->soon[turn]);
    clients->table = calloc(capacity, sizeof(*clients->table));
    clients->own_peers = calloc(capacity, sizeof(*clients->own_peers));
    return clients->table && clients->own_peers ? 0 : -ENOMEM;
}

void clients_deinit(struct clients *clients)
{
    generation_free_all(TAKE_PTR(clients->newest));
    free(clients->table);
    free(clients->own_peers);
    clients->table = NULL;
    clients->own_peers = NULL;
}
