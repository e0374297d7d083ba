/* SPDX-License-Identifier: MIT */
#pragma once

/* The properties of the life of clients. Include it in one source of a program only. */

#include "life.h"

/* The table of sources in small. */
#define LIFE_SOURCES 128

static struct {
    struct peer peers[LIFE_SOURCES];
    unsigned n_clients[LIFE_SOURCES];
    unsigned n, n_all;
    enum source_verdict verdict; /* SOURCE_ADMITTED: as the limits say */
} life_sources;

static unsigned *life_source(const struct peer *peer)
{
    unsigned i = 0;

    while (i < life_sources.n && !life_equal_peers(&life_sources.peers[i], peer))
        i++;
    PROPERTY(i < LIFE_SOURCES);
    if (i == life_sources.n)
        life_sources.peers[life_sources.n++] = *peer;
    return &life_sources.n_clients[i];
}

enum source_verdict sources_admit(struct sources *sources, const struct peer *peer,
                                  const struct source_limits *limits, uint64_t now_usec)
{
    unsigned *n = life_source(peer);

    PROPERTY(!sources && now_usec <= kernel.now_usec);
    if (life_sources.verdict != SOURCE_ADMITTED)
        return life_sources.verdict;
    if (*n >= limits->max_connections)
        return SOURCE_TOO_MANY;
    ++*n;
    life_sources.n_all++;
    return SOURCE_ADMITTED;
}

void sources_release(struct sources *sources, const struct peer *peer)
{
    unsigned *n = life_source(peer);

    PROPERTY(!sources && *n > 0);
    --*n;
    life_sources.n_all--;
}

/* Peer 3 is none of the list of any listener that has one. */
bool networks_allow(const struct networks *networks, const struct peer *peer)
{
    return !networks || peer->family != AF_INET || (ntohl(peer->in.s_addr) & 0xff) != 3;
}

static void on_send(struct kernel_client *client, const char *bytes, size_t size)
{
    struct life_client *promised = life_client(client);

    if (!promised->began)
        life_begin(client, bytes[0]);
    PROPERTY(promised->refusing || life_listener(client)->repeats ||
             size <= promised->size - client->given);
}

/* A line follows the last one after DripSec=. */
static void life_check_line(const struct kernel_client *client, const char *bytes, size_t size)
{
    struct life_client *promised = life_client(client);
    size_t at = client->given % promised->size;
    bool is_first = at == 0 || promised->text[at - 1] == '\n';

    if (life.worker.context.stopping || promised->refusing)
        return;
    PROPERTY(!is_first || life.round_usec >= promised->line_usec + LIFE_DRIP);
    PROPERTY(!memchr(bytes, '\n', size - 1));
    if (bytes[size - 1] == '\n')
        promised->line_usec = life.round_usec;
}

static void on_sent(struct kernel_client *client, const char *bytes, size_t size)
{
    struct life_client *promised = life_client(client);
    size_t at = client->given % promised->size;

    if (life_listener(client)->drips)
        life_check_line(client, bytes, size);
    for (size_t n = 0; n < size;) {
        size_t part = promised->size - at < size - n ? promised->size - at : size - n;

        PROPERTY(memcmp(promised->text + at, bytes + n, part) == 0);
        n += part;
        at = (at + part) % promised->size;
    }
    PROPERTY(!promised->refusing || client->given + size <= promised->size);
    promised->given_usec = life.round_usec;
    life.n_given += size;
}

static void on_shutdown(struct kernel_client *client)
{
    PROPERTY(life_is_whole(client));
    PROPERTY(!life_listener(client)->repeats || life_client(client)->refusing ||
             life.worker.context.stopping);
    life.n_greeted += !life_client(client)->refusing;
}

/* A client that has neither closed nor failed has time to close. */
static void on_close(struct kernel_client *client)
{
    const struct life_client *promised = life_client(client);
    bool is_silent = !client->fin && !client->broken && !promised->faulty;

    PROPERTY(!client->shut || !is_silent || life_listener(client)->closes_at_once ||
             life.may_evict || life.may_fail || life.quits ||
             life.round_usec >= promised->given_usec + LIFE_LINGER);
    life.closed = client;
    life.n_closed++;
    life.n_unlogged += life_listener(client)->unlogged;
}

static void life_check_unconfirmed(const struct kernel_client *client)
{
    PROPERTY(client->shut && life_is_whole(client));
    PROPERTY(client->acked < client->given || life_client(client)->faulty || client->broken);
}

/* It has made no progress for a timeout. */
static void life_check_timeout(const struct kernel_client *client)
{
    const struct life_client *promised = life_client(client);

    PROPERTY(promised->timed_out ||
             life.round_usec - promised->given_usec >= usec_min(LIFE_DATA_TIMEOUT, LIFE_TIMEOUT));
}

/* It has closed before it was greeted, or was closed: one that takes its greeting is not evicted,
 * unless it waited for the client or waits for a line. A part of a header is no silence. */
static void life_check_partial(const struct kernel_client *client)
{
    const struct life_listener *listener = life_listener(client);
    bool must_send = listener->on_data || listener->proxied;
    bool left = client->fin && client->given == 0 && must_send;

    PROPERTY(left || (life.may_evict && (must_send || listener->drips)) || life.quits);
    PROPERTY(!listener->proxied || !client->fin_read || client->n_read == 0 ||
             life_header(client, &(struct proxy_header){0}) > 0);
}

static void life_check_result(const struct kernel_client *client,
                              const struct connection_record *record)
{
    const struct life_client *promised = life_client(client);

    switch (record->result) {
    case RESULT_DELIVERED:
        PROPERTY(client->acked == client->given && life_is_whole(client));
        PROPERTY(!client->handshake || client->given == 0);
        PROPERTY(client->shut || client->broken);
        PROPERTY(record->bytes_acked == client->given);
        break;
    case RESULT_UNCONFIRMED:
        life_check_unconfirmed(client);
        break;
    case RESULT_PARTIAL:
        life_check_partial(client);
        break;
    case RESULT_RESET:
        PROPERTY(client->broken);
        break;
    case RESULT_TIMEOUT:
        life_check_timeout(client);
        break;
    case RESULT_REFUSED:
        PROPERTY(record->refusal != REFUSAL_NONE && (!promised->began || promised->refusing));
        break;
    default:
        PROPERTY(record->result == RESULT_ERROR && (life.may_fail || promised->faulty));
    }
}

bool logger_wants_connections(const struct logger *logger)
{
    return !logger;
}

void logger_log_connection(struct logger *logger, unsigned worker,
                           const struct connection_record *record)
{
    const struct kernel_client *client = TAKE_PTR(life.closed);

    PROPERTY(client);
    const struct life_client *promised = life_client(client);
    const struct peer peer = life_peer(client), own = life_own_peer(client);
    char name[] = {'l', (char)('0' + client->listener), '\0'};

    PROPERTY(!logger && worker == 0 && !life_listener(client)->unlogged);
    PROPERTY(record->number == promised->number && strcmp(record->listener, name) == 0);
    PROPERTY(record->bytes == client->given && record->bytes_acked <= client->acked);
    PROPERTY((record->refusal != REFUSAL_NONE) == (record->result == RESULT_REFUSED));
    PROPERTY(!promised->refusing || record->result == RESULT_REFUSED);
    PROPERTY(record->duration_usec <= kernel.now_usec - promised->accepted_usec + 1000);
    PROPERTY(life_equal_peers(&record->peer, record->proxy.family == AF_UNSPEC ? &own : &peer));
    PROPERTY(record->proxy.family == AF_UNSPEC || life_equal_peers(&record->proxy, &own));
    PROPERTY(!promised->began || promised->refusing || life_equal_peers(&record->peer, &peer));
    life_check_result(client, record);
    life.n_records++;
}

void logger_log_accept_paused(struct logger *logger, unsigned worker, int error)
{
    PROPERTY(!logger && worker == 0 && error > 0);
}

static uint64_t life_count(const atomic_uint_fast64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* Sums and differences of the books. */
static void life_check_books(void)
{
    const struct metrics_counters *counters = life.worker.context.counters;
    uint64_t n_results = 0, n_refused = 0, n_reasons = 0;

    for (struct metrics_listener *l = metrics_first_listener(life.metrics); l; l = l->next) {
        for (unsigned i = 0; i < RESULT_N; i++)
            n_results += metrics_results(life.metrics, l, (enum result)i);
        n_refused += metrics_results(life.metrics, l, RESULT_REFUSED);
        for (unsigned i = 0; i < REFUSAL_N; i++)
            n_reasons += metrics_refusals(life.metrics, l, (enum refusal)i);
    }
    PROPERTY(life_count(&counters->accepted) == life.n_accepted);
    PROPERTY(life_count(&counters->ended) == life.n_closed);
    PROPERTY(life.worker.clients.n_ended == life.n_closed);
    PROPERTY(n_results == life.n_closed && n_refused == n_reasons);
    PROPERTY(life_count(&counters->greeted) == life.n_greeted);
    PROPERTY(life_count(&counters->bytes_sent) == life.n_given);
    PROPERTY(life.n_records + life.n_unlogged + life_count(&counters->log_silent) == life.n_closed);
}

static size_t life_queue_length(const struct timeout_queue *queue)
{
    size_t n = 0;

    for (const struct timeout_entry *e = queue->sentinel.next; e != &queue->sentinel; e = e->next) {
        PROPERTY(e->next->previous == e &&
                 (e->next == &queue->sentinel || e->next->since_usec >= e->since_usec));
        n++;
    }
    return n;
}

/* Each client is in one queue, and in epoll if it says so. */
static void life_check_table(void)
{
    const struct clients *clients = &life.worker.clients;
    size_t n = 0, n_queued = 0, n_counted = 0, n_listed = 0;

    for (unsigned turn = 0; turn < CONN_POLLS; turn++)
        n_queued += life_queue_length(&clients->soon[turn]);

    FOR_EACH_WORKER_LISTENER (wl, clients->newest) {
        const struct timeout_queue *queues[] = {&wl->expecting,     &wl->writing,   &wl->dripping,
                                                &wl->acknowledging, &wl->lingering, &wl->refused};

        for (size_t i = 0; i < ELEMENTSOF(queues); i++)
            n_queued += life_queue_length(queues[i]);
        n_listed += wl->n_clients;
    }
    for (size_t i = 0; i < clients->n_used; i++) {
        const struct conn *conn = &clients->table[i];

        if (conn->state == CONN_FREE)
            continue;
        const struct kernel_interest *interest = kernel_interest(conn->fd);

        PROPERTY(timeout_is_queued(&conn->entry) && kernel_client(conn->fd));
        PROPERTY(interest->is_in == conn->watched);
        PROPERTY(!interest->is_in || interest->event.data.u64 == event_pack(EVENT_CLIENT, i));
        n_counted += conn->counted;
        n++;
    }
    PROPERTY(n == clients->n && n == life.n_accepted - life.n_closed);
    PROPERTY(n_queued == n && n_listed == n && n_counted == life_sources.n_all);
}

/* No client waits longer than it may. The worker may notice once that a wait has changed when its
 * timeout was over already. If it is not known what is unacknowledged, a client may linger. */
static void life_check_wait(const struct kernel_client *client)
{
    static const uint64_t most_usec[] = {LIFE_DATA_TIMEOUT + LIFE_TIMEOUT,
                                         LIFE_TIMEOUT + 2 * LIFE_DRIP, LIFE_TIMEOUT,
                                         CONN_LINGER_MAX_USEC + LIFE_LINGER};
    struct life_client *promised = life_client(client);
    unsigned stage = client->shut      ? (kernel_outstanding(client) > 0 ? 2 : 3)
                     : promised->began ? 1
                                       : 0;
    size_t progress = client->given + client->acked;

    if (stage != promised->stage || progress != promised->progress) {
        promised->stage = stage;
        promised->progress = progress;
        promised->since_usec = life.round_usec;
        promised->has_credit = true;
    } else if (life.round_usec - promised->since_usec > most_usec[stage] + 2 * CONN_AGAIN_USEC) {
        PROPERTY(promised->has_credit || (promised->faulty && stage == 2));
        promised->has_credit = false;
        promised->since_usec = life.round_usec;
    }
}

/* The worker is about to wait: for no client without an end, nor while one is in a queue. */
static void life_check_waits(int timeout_msec)
{
    int most_msec = (int)(usec_max(CONN_LINGER_MAX_USEC, LIFE_TIMEOUT) / 1000) + 1;

    PROPERTY(life.worker.clients.n == 0 || (timeout_msec >= 0 && timeout_msec <= most_msec));
    for (unsigned i = 0; i < kernel.n_clients; i++)
        if (kernel.clients[i].state == KERNEL_ACCEPTED)
            life_check_wait(&kernel.clients[i]);
    for (unsigned i = 0; i < KERNEL_LISTENERS; i++) {
        bool accepts = listener_in_use(&life.sockets[i]);

        PROPERTY(kernel.n_queued[i] == 0 || accepts || life.sockets[i].handed_on || life.quits);
        PROPERTY(timeout_msec >= 0 || kernel.n_queued[i] == 0 || !accepts || life.held ||
                 kernel_events(KERNEL_LISTENER + (int)i) || kernel_events(KERNEL_EVENTFD) ||
                 life.worker.acceptor.held);
    }
}

/* A worker that is awake must get something done. */
static void life_check_idle(bool time_passed)
{
    life.n_idle_rounds =
        time_passed || kernel.n_changes != life.n_changes ? 0 : life.n_idle_rounds + 1;
    life.n_changes = kernel.n_changes;
    PROPERTY(life.n_idle_rounds < 100);
}
