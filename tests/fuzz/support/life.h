/* SPDX-License-Identifier: MIT */
#pragma once

/* What the clients of a worker have been promised, and what must be true whenever the worker waits.
 * Include it in one source of a program only. */

#include <inttypes.h>

#include "greetd/greeting/template.h"
#include "greetd/guard/proxy_format.h"
#include "greetd/worker/worker.h"
#include "kernel.h"

#define LIFE_VERSIONS    4
#define LIFE_GENERATIONS 5

#define LIFE_START        ((uint64_t)1000000000)
#define LIFE_DATA_TIMEOUT ((uint64_t)5000000)
#define LIFE_TIMEOUT      ((uint64_t)7000000)
#define LIFE_LINGER       ((uint64_t)2000000)
#define LIFE_DRIP         ((uint64_t)1000000)

/* A listener; its greeting has variables if SIZE is 0. */
struct life_listener {
    enum kernel_kind kind;
    size_t size, refusal_size;
    bool on_data, proxied, drips, repeats, closes_at_once, unlogged, hides_silent;
};

static const struct life_listener life_listeners[KERNEL_LISTENERS] = {
    {.kind = KERNEL_TCP, .size = 18},
    {.kind = KERNEL_TCP, .size = 70000, .on_data = true, .refusal_size = 40},
    {.kind = KERNEL_TCP, .proxied = true, .refusal_size = 40},
    {.kind = KERNEL_TCP, .size = 100, .drips = true, .unlogged = true},
    {.kind = KERNEL_UNIX, .size = 7000},
    {.kind = KERNEL_RECORDS, .size = 100000, .on_data = true, .proxied = true, .refusal_size = 30},
    {.kind = KERNEL_TCP, .size = 200000, .closes_at_once = true, .refusal_size = 70000},
    {.kind = KERNEL_TCP,
     .on_data = true,
     .proxied = true,
     .drips = true,
     .repeats = true,
     .hides_silent = true},
};

/* What a client of the same number in struct kernel is promised. */
struct life_client {
    uint64_t number;      /* GREETD_CONNECTION= */
    unsigned generation;  /* that it was accepted in */
    unsigned versions;    /* a bit for each greeting in force since then */
    bool began, refusing; /* it receives bytes; those of the refusal */
    const char *text;     /* which it receives */
    size_t size;
    char rendered[128];
    uint64_t accepted_usec, given_usec, line_usec;
    bool timed_out, faulty; /* the kernel has given up; a call has failed */
    /* Its wait: since when, what was given and acknowledged by then, and whether the worker may
     * notice late that another wait began. */
    unsigned stage;
    size_t progress;
    uint64_t since_usec;
    bool has_credit;
};

static struct life {
    struct fuzz_input input;
    struct greeting *texts[KERNEL_LISTENERS][LIFE_VERSIONS], *refusals[KERNEL_LISTENERS];
    struct config_listener configs[LIFE_GENERATIONS][KERNEL_LISTENERS];
    struct listener sockets[KERNEL_LISTENERS];
    unsigned masks[LIFE_GENERATIONS];                      /* the listeners of each generation */
    unsigned versions[LIFE_GENERATIONS][KERNEL_LISTENERS]; /* in force */
    bool fast_open[LIFE_GENERATIONS];
    unsigned generation; /* in force */
    struct life_client clients[KERNEL_CLIENTS];
    struct worker_shared shared;
    struct worker worker;
    struct metrics *metrics;
    uint64_t n_accepted, n_closed, n_greeted, n_given, n_records, n_unlogged;
    struct kernel_client *closed; /* the last one, until it is logged */
    bool may_evict, quits, may_fail, stops, held;
    uint64_t round_usec; /* the time of the worker's round */
    unsigned n_idle_rounds;
    uint64_t n_changes;
} life;

static inline struct life_client *life_client(const struct kernel_client *client)
{
    return &life.clients[client - kernel.clients];
}

static inline const struct life_listener *life_listener(const struct kernel_client *client)
{
    return &life_listeners[client->listener];
}

/* The letter that begins every greeting and no other one, or every refusal. */
static inline char life_letter(unsigned listener, unsigned version)
{
    return (char)('0' + listener * LIFE_VERSIONS + version);
}

static inline char life_refusal_letter(unsigned listener)
{
    return (char)('a' + listener);
}

static struct greeting *life_plain(char letter, size_t size, bool has_lines)
{
    struct greeting *greeting = greeting_new();

    PROPERTY(greeting && (greeting->bytes = malloc(size + 1)));
    greeting->size = size;
    memset(greeting->bytes, letter, size);
    for (size_t i = 9; has_lines && i < size; i += 10)
        greeting->bytes[i] = '\n';
    return greeting;
}

static struct greeting *life_template(char letter)
{
    struct diagnostics diagnostics = DIAGNOSTICS_NULL;
    struct greeting *greeting;
    char text[64];

    snprintf(text, sizeof(text), "%c $connection\\n%c $remote_addr $listener\\n", letter, letter);
    PROPERTY(template_compile(&greeting, text, "fuzz", "Message", &diagnostics) == 0);
    diagnostics_deinit(&diagnostics);
    return greeting;
}

/* Makes all texts. The last version of the first listener is empty. */
static void life_make_texts(void)
{
    for (unsigned i = 0; i < KERNEL_LISTENERS; i++) {
        const struct life_listener *listener = &life_listeners[i];

        for (unsigned v = 0; v < LIFE_VERSIONS; v++) {
            size_t size = i == 0 && v == LIFE_VERSIONS - 1 ? 0 : listener->size;
            char letter = life_letter(i, v);

            life.texts[i][v] =
                listener->size ? life_plain(letter, size, listener->drips) : life_template(letter);
        }
        if (listener->refusal_size)
            life.refusals[i] = life_plain(life_refusal_letter(i), listener->refusal_size, false);
    }
}

/* Returns what proxy_header_parse() finds in what the worker has read of the client. */
static int life_header(const struct kernel_client *client, struct proxy_header *ret)
{
    enum proxy_error error;
    size_t size = client->n_read < client->n_bytes ? client->n_read : client->n_bytes;

    return proxy_header_parse(ret, &error, client->bytes, size);
}

static struct peer life_own_peer(const struct kernel_client *client)
{
    if (client->kind == KERNEL_TCP)
        return (struct peer){.family = AF_INET,
                             .port = (uint16_t)(KERNEL_END + kernel_fd(client)),
                             .in.s_addr = htonl(0xc0000200 + client->peer)};
    return (struct peer){.family = AF_UNIX, .un = {.pid = 7, .uid = client->peer}};
}

static struct peer life_peer(const struct kernel_client *client)
{
    struct proxy_header header;

    if (life_listener(client)->proxied && life_header(client, &header) > 0 && header.has_source)
        return header.source;
    return life_own_peer(client);
}

static bool life_equal_peers(const struct peer *a, const struct peer *b)
{
    char a_text[ADDRESS_TEXT_MAX], b_text[ADDRESS_TEXT_MAX];

    return a->family == b->family && strcmp(peer_format(a, a_text), peer_format(b, b_text)) == 0;
}

/* Notes what the client receives from now on: the greeting in force, or the refusal. */
static void life_begin(struct kernel_client *client, char letter)
{
    struct life_client *promised = life_client(client);
    const struct life_listener *listener = life_listener(client);
    const struct greeting *refusal = life.refusals[client->listener];
    unsigned version = 0, in_force = life.versions[promised->generation][client->listener];
    char host[ADDRESS_TEXT_MAX];
    const struct peer peer = life_peer(client);

    promised->began = true;
    promised->refusing = refusal && letter == life_refusal_letter(client->listener);
    if (!promised->refusing)
        while (life_letter(client->listener, version) != letter)
            PROPERTY(++version < LIFE_VERSIONS);
    const struct greeting *text =
        promised->refusing ? refusal : life.texts[client->listener][version];
    promised->text = text->bytes;
    promised->size = text->size;
    if (promised->refusing)
        return;
    PROPERTY(version == in_force || (listener->drips && (promised->versions & 1U << version)));
    PROPERTY(!listener->on_data || client->n_read > 0 || client->kind == KERNEL_RECORDS);
    PROPERTY(!listener->proxied || life_header(client, &(struct proxy_header){0}) > 0);
    if (listener->size > 0)
        return;
    promised->size = (size_t)snprintf(
        promised->rendered, sizeof(promised->rendered), "%c %" PRIu64 "\n%c %s l%u\n", letter,
        promised->number, letter, peer.family == AF_UNIX ? "unix:" : peer_format_host(&peer, host),
        client->listener);
    promised->text = promised->rendered;
}

/* Whether the kernel has all that the client is to receive. */
static bool life_is_whole(const struct kernel_client *client)
{
    const struct life_client *promised = life_client(client);

    if (!promised->began) /* an empty greeting */
        return client->listener == 0 && (promised->versions & 1U << (LIFE_VERSIONS - 1));
    if (life_listener(client)->repeats && !promised->refusing)
        return client->given % promised->size == 0;
    return client->given == promised->size;
}

static void on_accept(struct kernel_client *client)
{
    struct life_client *promised = life_client(client);
    size_t n_open = life.n_accepted - life.n_closed;

    promised->generation = life.generation;
    while (!(life.masks[promised->generation] & 1U << client->listener))
        PROPERTY(promised->generation-- > 0);
    client->handshake &= life.fast_open[promised->generation];
    promised->number = ++life.n_accepted;
    promised->versions = 1U << life.versions[promised->generation][client->listener];
    promised->accepted_usec = promised->given_usec = promised->line_usec = life.round_usec;
    promised->since_usec = life.round_usec;
    promised->has_credit = true;
    PROPERTY(n_open <= life.worker.clients.capacity);
    life.may_evict |= n_open + KERNEL_LISTENERS >= life.worker.clients.capacity;
}
