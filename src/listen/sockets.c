/* SPDX-License-Identifier: MIT */
#include "greetd/listen/sockets.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "greetd/listen/activation.h"
#include "greetd/listen/fdstore.h"
#include "greetd/listen/match.h"
#include "greetd/net/socket.h"

/* Closes stored sockets that are not configured any more, before any is opened: they may block its
 * address. */
static void close_unmatched(struct listener_set *taken, const struct snapshot *snapshot)
{
    for (size_t i = taken->n; i-- > 0;)
        if (!snapshot_has(snapshot, taken->at[i])) {
            _cleanup_(listener_unrefp) struct listener *listener = listener_set_take(taken, i);

            fdstore_remove(listener);
            listener_close_for_all(listener);
        }
}

static bool any_inherited(const struct listener_set *set)
{
    for (size_t i = 0; i < set->n; i++)
        if (set->at[i]->inherited)
            return true;
    return false;
}

/* Returns the error of FastOpen=yes; a kernel without it needs no FastOpen=no. Its queue is part of
 * that of listen(2), whose length is Backlog= or set by the .socket unit. */
static int set_fast_open(const struct snapshot *snapshot)
{
    int queue = config_server(snapshot->config)->fast_open ? SOMAXCONN : 0, r = 0;

    for (size_t i = 0; r >= 0 && i < snapshot->n; i++) {
        r = socket_set_fast_open(snapshot->bindings[i].listener->fd, queue);
        if (queue == 0)
            r = 0;
    }
    return r;
}

static int diagnose(struct diagnostics *diagnostics, const char *what, int error)
{
    diagnostics_add(diagnostics, "%s: %s", what, strerrordesc_np(-error));
    return error;
}

static int renew(struct listener *listener, int backlog, struct diagnostics *diagnostics)
{
    char what[sizeof("Failed to listen on ") + ADDRESS_TEXT_MAX] = "Failed to listen on ";
    int r = listener_renew(listener, backlog);

    if (r >= 0)
        return 0;
    address_format(&listener->address, what + strlen(what));
    return diagnose(diagnostics, what, r);
}

/* Applies the settings in force to all sockets. A socket that greetd has opened has no clients
 * until systemd keeps it, or has dropped handshakes since it was last configured; that ends here.
 */
static int renew_all(const struct snapshot *snapshot, struct diagnostics *diagnostics)
{
    int backlog = (int)config_server(snapshot->config)->backlog, result = 0;

    for (size_t i = 0; i < snapshot->n; i++) {
        struct listener *listener = snapshot->bindings[i].listener;
        int r = listener->inherited ? 0 : renew(listener, backlog, diagnostics);

        if (r < 0)
            result = r;
    }
    int r = set_fast_open(snapshot);
    return r < 0 ? diagnose(diagnostics, "Failed to set FastOpen=", r) : result;
}

static size_t count_stored(const struct snapshot *snapshot)
{
    size_t n = 0;

    for (size_t i = 0; i < snapshot->n; i++)
        n += snapshot->bindings[i].listener->stored_as != NULL;
    return n;
}

/* Takes the last further shard of any address out of the store. Returns false if there is none, or
 * if it stays. */
static bool make_room(const struct snapshot *snapshot)
{
    for (size_t i = snapshot->n; i-- > 0;) {
        struct listener *listener = snapshot->bindings[i].listener;

        if (snapshot->bindings[i].shard == 0 || !listener->stored_as)
            continue;
        fdstore_remove(listener);
        return !listener->stored_as;
    }
    return false;
}

/* Has systemd keep the sockets that greetd has opened: first one of each address, if need be in
 * place of further shards, and then these, the older ones first. Returns how many it has no room
 * for: they are closed with the process. */
static size_t store_all(const struct snapshot *snapshot)
{
    size_t room = fdstore_max(), n_stored = count_stored(snapshot), n_not_kept = 0;

    for (unsigned further = 0; further <= 1; further++)
        for (size_t i = 0; i < snapshot->n; i++) {
            struct listener *listener = snapshot->bindings[i].listener;

            if (listener->inherited || listener->stored_as ||
                (snapshot->bindings[i].shard > 0) != further)
                continue;
            if (n_stored >= room && !further)
                n_stored -= make_room(snapshot);
            if (n_stored < room)
                fdstore_add(listener, snapshot->bindings[i].shard);
            else
                n_not_kept++;
            n_stored += listener->stored_as != NULL;
        }
    return n_not_kept;
}

int sockets_open(struct sockets *sockets, struct config *config, size_t n_workers,
                 struct diagnostics *diagnostics)
{
    _cleanup_(listener_set_deinit) struct listener_set taken = {0};
    _cleanup_(match_deinit) struct match match = MATCH_NULL;
    int r = activation_take(&taken, diagnostics);

    if (r == -EBADMSG)
        return r;
    sockets->n_workers = n_workers;
    sockets->inherited = any_inherited(&taken);
    if (r >= 0)
        r = match_init(&match, config, &taken, sockets->inherited, n_workers);
    if (r < 0)
        return diagnose(diagnostics, "Failed to take over the sockets passed by systemd", r);
    close_unmatched(&taken, match.snapshot);
    r = match_open_missing(&match, diagnostics);
    if (r < 0)
        return r;
    sockets->snapshot = TAKE_PTR(match.snapshot);
    sockets->n_not_kept = store_all(sockets->snapshot);
    return renew_all(sockets->snapshot, diagnostics);
}

/* Lists the sockets in force and the leaving ones: an address may be configured again before it is
 * free. */
static int list_open(struct listener_set *ret, const struct sockets *sockets)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < sockets->snapshot->n; i++)
        r = listener_set_add(ret, sockets->snapshot->bindings[i].listener);
    for (size_t i = 0; r >= 0 && i < sockets->leaving.n; i++)
        r = listener_set_add(ret, sockets->leaving.at[i]);
    return r;
}

int sockets_prepare(struct snapshot **ret, const struct sockets *sockets, struct config *config,
                    struct diagnostics *diagnostics)
{
    _cleanup_(listener_set_deinit) struct listener_set available = {0};
    _cleanup_(match_deinit) struct match match = MATCH_NULL;
    int r = list_open(&available, sockets);

    if (r >= 0)
        r = match_init(&match, config, &available, sockets->inherited, sockets->n_workers);
    if (r < 0)
        return diagnose(diagnostics, "Failed to prepare the sockets", r);
    r = match_open_missing(&match, diagnostics);
    if (r >= 0)
        *ret = TAKE_PTR(match.snapshot);
    return r;
}

/* Removes from LEAVING the sockets that are configured again. */
static void keep_configured(struct listener_set *leaving, const struct snapshot *snapshot)
{
    for (size_t i = leaving->n; i-- > 0;)
        if (snapshot_has(snapshot, leaving->at[i]))
            listener_unref(listener_set_take(leaving, i));
}

/* The kernel resets the clients in the queue of a shard that is closed, and does not move them to
 * another. So before the process ends, new clients are steered to the shards that the next process
 * gets. These are the oldest ones: match_init() has stored shards first and opens the others behind
 * them, and store_all() stores them in this order. */
static void steer_to_handed_on(const struct binding *first)
{
    unsigned n = 0;

    for (unsigned i = 0; i < first->n_shards; i++)
        n += first[i].listener->handed_on;
    if (n > 0 && n < first->n_shards)
        (void)socket_steer(first->listener->fd, n);
}

void sockets_drop_syn(const struct sockets *sockets, const struct snapshot *after)
{
    for (size_t i = 0; !after && i < sockets->snapshot->n; i++)
        if (sockets->snapshot->bindings[i].shard == 0)
            steer_to_handed_on(&sockets->snapshot->bindings[i]);
    for (size_t i = 0; i < sockets->snapshot->n; i++) {
        struct listener *listener = sockets->snapshot->bindings[i].listener;

        if (after && snapshot_has(after, listener))
            continue;
        if (after)
            fdstore_remove(listener);
        listener_drop_syn(listener);
    }
}

int sockets_activate(struct sockets *sockets, struct snapshot *snapshot,
                     struct diagnostics *diagnostics)
{
    struct snapshot *before = sockets->snapshot;

    keep_configured(&sockets->leaving, snapshot);
    sockets_drop_syn(sockets, snapshot);
    /* Without memory for the list, a socket is closed with its last reference. */
    for (size_t i = 0; i < before->n; i++)
        if (!snapshot_has(snapshot, before->bindings[i].listener))
            (void)listener_set_add(&sockets->leaving, before->bindings[i].listener);
    sockets->n_not_kept = store_all(snapshot);
    sockets->snapshot = snapshot_ref(snapshot);
    snapshot_unref(before);
    return renew_all(snapshot, diagnostics);
}

static bool have_same_address(const struct listener *a, const struct listener *b)
{
    return a == b || listener_shares_address(a, b);
}

static bool address_in_use(const struct listener_set *set, const struct listener *listener)
{
    for (size_t i = 0; i < set->n; i++)
        if (have_same_address(listener, set->at[i]) && listener_in_use(set->at[i]))
            return true;
    return false;
}

static void close_address(struct listener_set *set, const struct listener *listener)
{
    for (size_t i = set->n; i-- > 0;)
        if (have_same_address(listener, set->at[i])) {
            _cleanup_(listener_unrefp) struct listener *closed = listener_set_take(set, i);

            fdstore_remove(closed); /* if that failed before */
            if (closed->stored_as)
                listener_close_for_all(closed);
            else
                listener_close(closed);
        }
}

bool sockets_close_leaving(struct sockets *sockets, char *address)
{
    for (size_t i = 0; i < sockets->leaving.n; i++) {
        _cleanup_(listener_unrefp) struct listener *listener = listener_ref(sockets->leaving.at[i]);

        if (address_in_use(&sockets->leaving, listener))
            continue;
        address_format(&listener->address, address);
        close_address(&sockets->leaving, listener);
        return true;
    }
    return false;
}

static bool any_shard_in_use(const struct binding *binding)
{
    for (unsigned i = 0; i < binding->n_shards; i++)
        if (listener_in_use(binding_other_shard(binding, i)->listener))
            return true;
    return false;
}

void sockets_close_unused(struct sockets *sockets)
{
    for (size_t i = 0; i < sockets->snapshot->n; i++)
        if (!any_shard_in_use(&sockets->snapshot->bindings[i]))
            listener_close(sockets->snapshot->bindings[i].listener);
}

void sockets_deinit(struct sockets *sockets)
{
    snapshot_unref(sockets->snapshot);
    listener_set_deinit(&sockets->leaving);
    *sockets = (struct sockets){0};
}

bool sockets_use(const struct sockets *sockets, const struct config_listener *listener)
{
    for (size_t i = 0; i < sockets->snapshot->n; i++)
        if (sockets->snapshot->bindings[i].config == listener)
            return true;
    return false;
}

bool sockets_have_clients(const struct sockets *sockets)
{
    for (size_t i = 0; i < sockets->snapshot->n; i++)
        if (socket_is_readable(sockets->snapshot->bindings[i].listener->fd))
            return true;
    return false;
}
