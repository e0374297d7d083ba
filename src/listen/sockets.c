/* SPDX-License-Identifier: MIT */
#include "greetd/listen/sockets.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "greetd/listen/activation.h"
#include "greetd/listen/fdstore.h"
#include "greetd/net/socket.h"

/* Endpoints in the making, and where their sockets come from. */
struct plan {
    struct snapshot *snapshot;
    const struct config *config;
    const struct listener_set *available; /* sockets that are open already */
    struct diagnostics *diagnostics;
};

static size_t count_addresses(const struct config *config)
{
    size_t n = config_default_listener(config)->addresses.n;

    for (size_t i = 0; i < config_n_listeners(config); i++)
        n += config_listener_at(config, i)->addresses.n;
    return n;
}

/* A socket that is open already and is what WANTED asks for; NULL if there is none. */
static struct listener *find_available(const struct plan *plan, const struct address *wanted)
{
    for (size_t i = 0; i < plan->available->n; i++) {
        struct listener *listener = plan->available->at[i];

        if (listener_serves(listener, wanted) && !snapshot_has(plan->snapshot, listener))
            return listener_ref(listener);
    }
    return NULL;
}

static int open_address(const struct plan *plan, const struct config_listener *config,
                        const struct address *wanted)
{
    _cleanup_(listener_unrefp) struct listener *listener = find_available(plan, wanted);
    int r =
        listener ? 0 : listener_open(&listener, wanted, (int)config_server(plan->config)->backlog);

    if (r >= 0)
        snapshot_add(plan->snapshot, listener, config);
    return r;
}

/* Opens the addresses of one section. */
static int open_section(const struct plan *plan, const struct config_listener *config)
{
    for (size_t i = 0; i < config->addresses.n; i++) {
        int r = open_address(plan, config, &config->addresses.addresses[i]);

        if (r < 0) {
            diagnostics_add(plan->diagnostics, "Failed to listen on %s: %s",
                            config->addresses.texts[i], strerrordesc_np(-r));
            return r;
        }
    }
    return 0;
}

static int open_configured(const struct plan *plan)
{
    int r = open_section(plan, config_default_listener(plan->config));

    for (size_t i = 0; r >= 0 && i < config_n_listeners(plan->config); i++)
        r = open_section(plan, config_listener_at(plan->config, i));
    if (r >= 0 && plan->snapshot->n == 0) {
        diagnostics_add(
            plan->diagnostics,
            "Nothing to listen on: ListenStream= is empty and systemd passed no socket");
        return -EBADMSG;
    }
    return r;
}

/* A socket that was passed has the greeting of the section with its name, or else of [Greeting]. */
static void match_passed(const struct plan *plan)
{
    for (size_t i = 0; i < plan->available->n; i++) {
        struct listener *listener = plan->available->at[i];
        const struct config_listener *named =
            listener->name ? config_find_listener(plan->config, listener->name) : NULL;

        if (listener->inherited)
            snapshot_add(plan->snapshot, listener,
                         named ? named : config_default_listener(plan->config));
    }
}

/* Makes the endpoints for CONFIG out of what is AVAILABLE and, unless sockets were INHERITED, what
 * has to be opened. */
static int make_endpoints(struct snapshot **ret, struct config *config,
                          const struct listener_set *available, bool inherited,
                          struct diagnostics *diagnostics)
{
    _cleanup_(snapshot_unrefp) struct snapshot *snapshot = NULL;
    int r = snapshot_new(&snapshot, config, inherited ? available->n : count_addresses(config));

    if (r < 0) {
        diagnostics_add(diagnostics, "Failed to prepare the sockets: %s", strerrordesc_np(-r));
        return r;
    }
    const struct plan plan = {snapshot, config, available, diagnostics};
    if (inherited)
        match_passed(&plan);
    else
        r = open_configured(&plan);
    if (r >= 0)
        *ret = TAKE_PTR(snapshot);
    return r;
}

/* Takes those of a section's addresses that sockets are open for. */
static void match_section(const struct plan *plan, const struct config_listener *config)
{
    for (size_t i = 0; i < config->addresses.n; i++) {
        _cleanup_(listener_unrefp) struct listener *listener =
            find_available(plan, &config->addresses.addresses[i]);

        if (listener)
            snapshot_add(plan->snapshot, listener, config);
    }
}

static void match_configured(const struct plan *plan)
{
    match_section(plan, config_default_listener(plan->config));
    for (size_t i = 0; i < config_n_listeners(plan->config); i++)
        match_section(plan, config_listener_at(plan->config, i));
}

/* Of what an earlier process has stored, systemd need keep no longer what is not used. */
static void drop_others(struct listener_set *taken, const struct snapshot *wanted)
{
    for (size_t i = taken->n; i-- > 0;)
        if (!snapshot_has(wanted, taken->at[i])) {
            _cleanup_(listener_unrefp) struct listener *listener = listener_set_take(taken, i);

            fdstore_remove(listener);
            listener_close_for_all(listener);
        }
}

/* Closes what is TAKEN but not wanted, before anything is opened: it may be in the way of an
 * address that is. */
static int drop_unwanted(struct listener_set *taken, struct config *config, bool inherited)
{
    _cleanup_(snapshot_unrefp) struct snapshot *wanted = NULL;
    int r = snapshot_new(&wanted, config, inherited ? taken->n : count_addresses(config));

    if (r < 0)
        return r;
    const struct plan plan = {.snapshot = wanted, .config = config, .available = taken};
    if (inherited)
        match_passed(&plan);
    else
        match_configured(&plan);
    drop_others(taken, wanted);
    return 0;
}

static bool any_inherited(const struct listener_set *set)
{
    for (size_t i = 0; i < set->n; i++)
        if (set->at[i]->inherited)
            return true;
    return false;
}

/* Returns what kept FastOpen=yes from being set; a system without it has nothing to turn off. The
 * queue for it is part of that of listen(2), whose length is Backlog= or what the .socket says. */
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

/* Gives all sockets the settings that are in force now. Of those of our own that were open before,
 * it also takes back what may have been done to them on the way out. */
static int renew_all(const struct snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->n; i++)
        if (!snapshot->bindings[i].listener->inherited)
            (void)listener_renew(snapshot->bindings[i].listener,
                                 (int)config_server(snapshot->config)->backlog);
    return set_fast_open(snapshot);
}

/* Has systemd keep our own. Returns how many it has no room for: they are ended with us. */
static size_t store_all(const struct snapshot *snapshot)
{
    size_t room = fdstore_max(), n_stored = 0, n_not_kept = 0;

    for (size_t i = 0; i < snapshot->n; i++)
        n_stored += snapshot->bindings[i].listener->stored_as != NULL;
    for (size_t i = 0; i < snapshot->n; i++) {
        struct listener *listener = snapshot->bindings[i].listener;

        if (listener->inherited || listener->stored_as)
            continue;
        if (n_stored >= room) {
            n_not_kept++;
            continue;
        }
        fdstore_add(listener);
        n_stored += listener->stored_as != NULL;
    }
    return n_not_kept;
}

int sockets_open(struct sockets *sockets, struct config *config, struct diagnostics *diagnostics)
{
    _cleanup_(listener_set_deinit) struct listener_set taken = {0};
    int r = activation_take(&taken, diagnostics);

    if (r == -EBADMSG)
        return r;
    sockets->inherited = any_inherited(&taken);
    if (r >= 0)
        r = drop_unwanted(&taken, config, sockets->inherited);
    if (r < 0) {
        diagnostics_add(diagnostics, "Failed to take over the sockets passed by systemd: %s",
                        strerrordesc_np(-r));
        return r;
    }

    r = make_endpoints(&sockets->snapshot, config, &taken, sockets->inherited, diagnostics);
    if (r < 0)
        return r;
    r = renew_all(sockets->snapshot);
    if (r < 0) {
        diagnostics_add(diagnostics, "Failed to set FastOpen=: %s", strerrordesc_np(-r));
        return r;
    }
    sockets->n_not_kept = store_all(sockets->snapshot);
    return 0;
}

/* Those in force, and those that are leaving: an address may be wanted again before it is free. */
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
    int r = list_open(&available, sockets);

    if (r < 0) {
        diagnostics_add(diagnostics, "Failed to prepare the sockets: %s", strerrordesc_np(-r));
        return r;
    }
    return make_endpoints(ret, config, &available, sockets->inherited, diagnostics);
}

/* Those that were on their way out and are wanted again. */
static void call_back(struct listener_set *leaving, const struct snapshot *snapshot)
{
    for (size_t i = leaving->n; i-- > 0;)
        if (snapshot_has(snapshot, leaving->at[i]))
            listener_unref(listener_set_take(leaving, i));
}

void sockets_drop_syn(const struct sockets *sockets, const struct snapshot *wanted)
{
    for (size_t i = 0; i < sockets->snapshot->n; i++) {
        struct listener *listener = sockets->snapshot->bindings[i].listener;

        if (wanted && snapshot_has(wanted, listener))
            continue;
        if (wanted)
            fdstore_remove(listener);
        listener_drop_syn(listener);
    }
}

int sockets_activate(struct sockets *sockets, struct snapshot *snapshot)
{
    struct snapshot *before = sockets->snapshot;

    call_back(&sockets->leaving, snapshot);
    sockets_drop_syn(sockets, snapshot);
    /* Without the memory to remember one, it is closed with the last of what refers to it. */
    for (size_t i = 0; i < before->n; i++)
        if (!snapshot_has(snapshot, before->bindings[i].listener))
            (void)listener_set_add(&sockets->leaving, before->bindings[i].listener);
    sockets->n_not_kept = store_all(snapshot);
    sockets->snapshot = snapshot_ref(snapshot);
    snapshot_unref(before);
    return renew_all(snapshot);
}

bool sockets_close_left(struct sockets *sockets, char *address)
{
    for (size_t i = 0; i < sockets->leaving.n; i++) {
        if (listener_in_use(sockets->leaving.at[i]))
            continue;
        struct listener *listener = listener_set_take(&sockets->leaving, i);

        address_format(&listener->address, address);
        listener_close(listener);
        listener_unref(listener);
        return true;
    }
    return false;
}

void sockets_close_unused(struct sockets *sockets)
{
    for (size_t i = 0; sockets->snapshot && i < sockets->snapshot->n; i++)
        if (!listener_in_use(sockets->snapshot->bindings[i].listener))
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
