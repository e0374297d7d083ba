/* SPDX-License-Identifier: MIT */
#include "greetd/listen/match.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "greetd/listen/fdstore.h"
#include "greetd/net/socket.h"

/* Returns the I-th section with addresses: [Server], then each [Listener NAME]; NULL at the end. */
static const struct config_listener *section_at(const struct config *config, size_t i)
{
    if (i == 0)
        return config_default_listener(config);
    return i <= config_n_listeners(config) ? config_listener_at(config, i - 1) : NULL;
}

static size_t count_addresses(const struct config *config)
{
    const struct config_listener *section;
    size_t n = 0;

    for (size_t i = 0; (section = section_at(config, i)); i++)
        n += section->addresses.n;
    return n;
}

/* Returns the most bindings that match_configured() adds. */
static size_t count_configured(const struct config *config, const struct listener_set *available,
                               size_t n_workers)
{
    size_t n_shards = config_server(config)->reuse_port ? n_workers : 1;

    return count_addresses(config) * n_shards + available->n;
}

/* Returns an available socket that serves ADDRESS and has no binding yet, or NULL; borrowed. */
static struct listener *find_available(const struct match *match,
                                       const struct listener_set *available,
                                       const struct address *address)
{
    for (size_t i = 0; i < available->n; i++)
        if (listener_serves(available->at[i], address) &&
            !snapshot_has(match->snapshot, available->at[i]))
            return available->at[i];
    return NULL;
}

static void add(struct match *match, struct listener *listener,
                const struct config_listener *section, const struct match_address *wanted)
{
    match->addresses[match->snapshot->n] = *wanted;
    snapshot_add(match->snapshot, listener, section);
}

/* Adds the available sockets that share the address of FIRST, whatever ReusePort= is now: the
 * kernel would reset the clients in their queues if they were closed. */
static void add_shards(struct match *match, const struct listener *first,
                       const struct config_listener *section, const struct match_address *wanted,
                       const struct listener_set *available)
{
    for (size_t i = 0; i < available->n; i++)
        if (listener_shares_address(first, available->at[i]) &&
            !snapshot_has(match->snapshot, available->at[i]))
            add(match, available->at[i], section, wanted);
}

static void match_address(struct match *match, const struct config_listener *section, size_t i,
                          const struct listener_set *available, size_t n_workers)
{
    bool spread = config_server(match->snapshot->config)->reuse_port;
    size_t first = match->snapshot->n;
    struct match_address wanted = {.text = section->addresses.texts[i]};

    wanted.error = listener_resolve(&wanted.address, &section->addresses.addresses[i]);
    struct listener *listener =
        wanted.error < 0 ? NULL : find_available(match, available, &wanted.address);
    add(match, listener, section, &wanted);
    if (listener)
        add_shards(match, listener, section, &wanted, available);
    wanted.n_older = (unsigned)(match->snapshot->n - first);
    while (spread && address_is_tcp(&wanted.address) && match->snapshot->n - first < n_workers)
        add(match, NULL, section, &wanted);
    snapshot_join_shards(match->snapshot, first, spread);
}

static void match_configured(struct match *match, const struct listener_set *available,
                             size_t n_workers)
{
    const struct config_listener *section;

    for (size_t i = 0; (section = section_at(match->snapshot->config, i)); i++)
        for (size_t j = 0; j < section->addresses.n; j++)
            match_address(match, section, j, available, n_workers);
}

/* A passed socket has the greeting of the section with its name, or else that of [Greeting]. */
static const struct config_listener *section_of(const struct match *match,
                                                const struct listener *listener)
{
    const struct config *config = match->snapshot->config;
    const struct config_listener *named =
        listener->name ? config_find_listener(config, listener->name) : NULL;

    return named ? named : config_default_listener(config);
}

static bool needs_binding(const struct match *match, const struct listener *listener)
{
    return listener->inherited && !snapshot_has(match->snapshot, listener);
}

/* Adds each socket, and behind it those that share its address (ReusePort= in systemd.socket(5))
 * and its section: a worker may accept from any shard. */
static void match_inherited(struct match *match, const struct listener_set *available)
{
    for (size_t i = 0; i < available->n; i++) {
        const struct config_listener *section = section_of(match, available->at[i]);
        size_t first = match->snapshot->n;

        if (!needs_binding(match, available->at[i]))
            continue;
        snapshot_add(match->snapshot, available->at[i], section);
        for (size_t j = i + 1; j < available->n; j++)
            if (listener_shares_address(available->at[i], available->at[j]) &&
                section_of(match, available->at[j]) == section &&
                needs_binding(match, available->at[j]))
                snapshot_add(match->snapshot, available->at[j], section);
        snapshot_join_shards(match->snapshot, first, true);
    }
}

int match_init(struct match *match, struct config *config, const struct listener_set *available,
               bool inherited, size_t n_workers)
{
    size_t n = inherited ? available->n : count_configured(config, available, n_workers);

    *match = MATCH_NULL;
    int r = snapshot_new(&match->snapshot, config, n);
    if (r < 0)
        return r;
    if (inherited) {
        match_inherited(match, available);
        return 0;
    }
    /* An empty list of addresses needs memory that is not NULL. */
    match->addresses = calloc(n + 1, sizeof(*match->addresses));
    if (!match->addresses)
        return -ENOMEM;
    match_configured(match, available, n_workers);
    return 0;
}

void match_deinit(struct match *match)
{
    snapshot_unref(match->snapshot);
    free(match->addresses);
    *match = MATCH_NULL;
}

/* A socket may have lost its file since it was matched: that of another stored socket with the same
 * path was closed. */
static bool is_missing(const struct match *match, size_t i)
{
    const struct listener *listener = match->snapshot->bindings[i].listener;

    return !listener ||
           (match->addresses && !listener_serves(listener, &match->addresses[i].address));
}

/* The first shard is open by now. Until the snapshot is in force, new clients are for the shards
 * that had workers before; if the kernel does not allow that, listener_open_shard() drops their
 * handshakes. */
static int open_shard(struct match *match, size_t i, int backlog)
{
    struct binding *binding = &match->snapshot->bindings[i];
    struct listener *first = binding_first_shard(binding)->listener;
    int r = listener_open_shard(&binding->listener, first, backlog);

    if (r >= 0)
        (void)socket_steer(first->fd, match->addresses[i].n_older);
    return r;
}

static int open_binding(struct match *match, size_t i)
{
    struct binding *binding = &match->snapshot->bindings[i];
    int backlog = (int)config_server(match->snapshot->config)->backlog;

    if (match->addresses[i].error < 0)
        return match->addresses[i].error;
    if (binding->shard > 0)
        return open_shard(match, i, backlog);
    if (binding->listener)
        fdstore_remove(binding->listener);
    listener_unref(TAKE_PTR(binding->listener));
    return listener_open(&binding->listener, &match->addresses[i].address, backlog);
}

/* Removes the shards from binding I on, which are not open, from their address. */
static void leave_out_shards(struct match *match, size_t i)
{
    struct snapshot *snapshot = match->snapshot;
    unsigned n_open = snapshot->bindings[i].shard;
    size_t next = i - n_open + snapshot->bindings[i].n_shards, n_moved = snapshot->n - next;

    for (size_t j = i - n_open; j < i; j++)
        snapshot->bindings[j].n_shards = n_open;
    memmove(&snapshot->bindings[i], &snapshot->bindings[next],
            n_moved * sizeof(snapshot->bindings[0]));
    memmove(&match->addresses[i], &match->addresses[next], n_moved * sizeof(match->addresses[0]));
    snapshot->n -= next - i;
}

/* Only sockets of one user share an address (SO_REUSEPORT in socket(7)). Those that an earlier
 * process has opened as another user serve all workers. */
static bool can_do_with_older(const struct match *match, size_t i, int error)
{
    return error == -EADDRINUSE && match->snapshot->bindings[i].shard > 0 &&
           match->addresses[i].n_older > 0;
}

int match_open_missing(struct match *match, struct diagnostics *diagnostics)
{
    for (size_t i = 0; i < match->snapshot->n; i++) {
        int r = is_missing(match, i) ? open_binding(match, i) : 0;

        if (r >= 0)
            continue;
        diagnostics_add(diagnostics, "Failed to listen on %s%s: %s", match->addresses[i].text,
                        can_do_with_older(match, i, r) ? " with a socket for each worker" : "",
                        strerrordesc_np(-r));
        if (!can_do_with_older(match, i, r))
            return r;
        leave_out_shards(match, i--);
    }
    if (match->snapshot->n > 0)
        return 0;
    diagnostics_add(diagnostics,
                    "Nothing to listen on: ListenStream= is empty and systemd passed no socket");
    return -EBADMSG;
}
