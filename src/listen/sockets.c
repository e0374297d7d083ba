/* SPDX-License-Identifier: MIT */
#include "greetd/listen/sockets.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "greetd/listen/activation.h"
#include "greetd/net/socket.h"

/* Endpoints in the making, and where their sockets come from. */
struct plan {
    struct endpoints *endpoints;
    const struct config *config;
    const struct listener_set *available; /* sockets that are open already */
    struct report *report;
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

        if (listener_serves(listener, wanted) && !endpoints_have(plan->endpoints, listener))
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
        endpoints_add(plan->endpoints, listener, config);
    return r;
}

/* Opens the addresses of one section. */
static int open_section(const struct plan *plan, const struct config_listener *config)
{
    for (size_t i = 0; i < config->addresses.n; i++) {
        int r = open_address(plan, config, &config->addresses.addresses[i]);

        if (r < 0) {
            report_add(plan->report, "Failed to listen on %s: %s", config->addresses.texts[i],
                       strerrordesc_np(-r));
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
    if (r >= 0 && plan->endpoints->n == 0) {
        report_add(plan->report,
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
            endpoints_add(plan->endpoints, listener,
                          named ? named : config_default_listener(plan->config));
    }
}

/* Makes the endpoints for CONFIG out of what is AVAILABLE and, unless sockets were INHERITED, what
 * has to be opened. */
static int make_endpoints(struct endpoints **ret, struct config *config,
                          const struct listener_set *available, bool inherited,
                          struct report *report)
{
    _cleanup_(endpoints_unrefp) struct endpoints *endpoints = NULL;
    int r = endpoints_new(&endpoints, config, inherited ? available->n : count_addresses(config));

    if (r < 0) {
        report_add(report, "Failed to prepare the sockets: %s", strerrordesc_np(-r));
        return r;
    }
    const struct plan plan = {endpoints, config, available, report};
    if (inherited)
        match_passed(&plan);
    else
        r = open_configured(&plan);
    if (r >= 0)
        *ret = TAKE_PTR(endpoints);
    return r;
}

/* Takes those of a section's addresses that sockets are open for. */
static void match_section(const struct plan *plan, const struct config_listener *config)
{
    for (size_t i = 0; i < config->addresses.n; i++) {
        _cleanup_(listener_unrefp) struct listener *listener =
            find_available(plan, &config->addresses.addresses[i]);

        if (listener)
            endpoints_add(plan->endpoints, listener, config);
    }
}

static void match_configured(const struct plan *plan)
{
    match_section(plan, config_default_listener(plan->config));
    for (size_t i = 0; i < config_n_listeners(plan->config); i++)
        match_section(plan, config_listener_at(plan->config, i));
}

/* Of what an earlier process has stored, systemd need keep no longer what is not used. */
static void drop_others(struct listener_set *taken, const struct endpoints *wanted)
{
    for (size_t i = taken->n; i-- > 0;)
        if (!endpoints_have(wanted, taken->at[i])) {
            _cleanup_(listener_unrefp) struct listener *listener = listener_set_take(taken, i);

            handover_unstore(listener);
            listener_close_for_all(listener);
        }
}

/* Closes what is TAKEN but not wanted, before anything is opened: it may be in the way of an
 * address that is. */
static int drop_unwanted(struct listener_set *taken, struct config *config, bool inherited)
{
    _cleanup_(endpoints_unrefp) struct endpoints *wanted = NULL;
    int r = endpoints_new(&wanted, config, inherited ? taken->n : count_addresses(config));

    if (r < 0)
        return r;
    const struct plan plan = {.endpoints = wanted, .config = config, .available = taken};
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
static int set_fast_open(const struct endpoints *endpoints)
{
    int queue = config_server(endpoints->config)->fast_open ? SOMAXCONN : 0, r = 0;

    for (size_t i = 0; r >= 0 && i < endpoints->n; i++) {
        r = sockutil_set_fast_open(endpoints->at[i].listener->fd, queue);
        if (queue == 0)
            r = 0;
    }
    return r;
}

/* Gives all sockets the settings that are in force now. Of those of our own that were open before,
 * it also takes back what may have been done to them on the way out. */
static int renew_all(const struct endpoints *endpoints)
{
    for (size_t i = 0; i < endpoints->n; i++)
        if (!endpoints->at[i].listener->inherited)
            (void)listener_renew(endpoints->at[i].listener,
                                 (int)config_server(endpoints->config)->backlog);
    return set_fast_open(endpoints);
}

/* Has systemd keep our own. Returns how many it has no room for: they are ended with us. */
static size_t store_all(const struct endpoints *endpoints)
{
    size_t room = handover_room(), n_stored = 0, n_unkept = 0;

    for (size_t i = 0; i < endpoints->n; i++)
        n_stored += endpoints->at[i].listener->stored_as != NULL;
    for (size_t i = 0; i < endpoints->n; i++) {
        struct listener *listener = endpoints->at[i].listener;

        if (listener->inherited || listener->stored_as)
            continue;
        if (n_stored >= room) {
            n_unkept++;
            continue;
        }
        handover_store(listener);
        n_stored += listener->stored_as != NULL;
    }
    return n_unkept;
}

int sockets_open(struct sockets *sockets, struct config *config, struct report *report)
{
    _cleanup_(listener_set_deinit) struct listener_set taken = {0};
    int r = handover_take(&taken, report);

    if (r == -EBADMSG)
        return r;
    sockets->inherited = any_inherited(&taken);
    if (r >= 0)
        r = drop_unwanted(&taken, config, sockets->inherited);
    if (r < 0) {
        report_add(report, "Failed to take over the sockets passed by systemd: %s",
                   strerrordesc_np(-r));
        return r;
    }

    r = make_endpoints(&sockets->endpoints, config, &taken, sockets->inherited, report);
    if (r < 0)
        return r;
    r = renew_all(sockets->endpoints);
    if (r < 0) {
        report_add(report, "Failed to set FastOpen=: %s", strerrordesc_np(-r));
        return r;
    }
    sockets->n_unkept = store_all(sockets->endpoints);
    return 0;
}

/* Those in force, and those that are leaving: an address may be wanted again before it is free. */
static int list_open(struct listener_set *ret, const struct sockets *sockets)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < sockets->endpoints->n; i++)
        r = listener_set_add(ret, sockets->endpoints->at[i].listener);
    for (size_t i = 0; r >= 0 && i < sockets->leaving.n; i++)
        r = listener_set_add(ret, sockets->leaving.at[i]);
    return r;
}

int sockets_prepare(struct endpoints **ret, const struct sockets *sockets, struct config *config,
                    struct report *report)
{
    _cleanup_(listener_set_deinit) struct listener_set available = {0};
    int r = list_open(&available, sockets);

    if (r < 0) {
        report_add(report, "Failed to prepare the sockets: %s", strerrordesc_np(-r));
        return r;
    }
    return make_endpoints(ret, config, &available, sockets->inherited, report);
}

/* Those that were on their way out and are wanted again. */
static void call_back(struct listener_set *leaving, const struct endpoints *endpoints)
{
    for (size_t i = leaving->n; i-- > 0;)
        if (endpoints_have(endpoints, leaving->at[i]))
            listener_unref(listener_set_take(leaving, i));
}

void sockets_drop_newcomers(const struct sockets *sockets, const struct endpoints *wanted)
{
    for (size_t i = 0; i < sockets->endpoints->n; i++) {
        struct listener *listener = sockets->endpoints->at[i].listener;

        if (wanted && endpoints_have(wanted, listener))
            continue;
        if (wanted)
            handover_unstore(listener);
        listener_drop_newcomers(listener);
    }
}

int sockets_change_to(struct sockets *sockets, struct endpoints *endpoints)
{
    struct endpoints *before = sockets->endpoints;

    call_back(&sockets->leaving, endpoints);
    sockets_drop_newcomers(sockets, endpoints);
    /* Without the memory to remember one, it is closed with the last of what refers to it. */
    for (size_t i = 0; i < before->n; i++)
        if (!endpoints_have(endpoints, before->at[i].listener))
            (void)listener_set_add(&sockets->leaving, before->at[i].listener);
    sockets->n_unkept = store_all(endpoints);
    sockets->endpoints = endpoints_ref(endpoints);
    endpoints_unref(before);
    return renew_all(endpoints);
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
    for (size_t i = 0; sockets->endpoints && i < sockets->endpoints->n; i++)
        if (!listener_in_use(sockets->endpoints->at[i].listener))
            listener_close(sockets->endpoints->at[i].listener);
}

void sockets_deinit(struct sockets *sockets)
{
    endpoints_unref(sockets->endpoints);
    listener_set_deinit(&sockets->leaving);
    *sockets = (struct sockets){0};
}

bool sockets_use(const struct sockets *sockets, const struct config_listener *listener)
{
    for (size_t i = 0; i < sockets->endpoints->n; i++)
        if (sockets->endpoints->at[i].config == listener)
            return true;
    return false;
}

bool sockets_have_clients(const struct sockets *sockets)
{
    for (size_t i = 0; i < sockets->endpoints->n; i++)
        if (sockutil_is_readable(sockets->endpoints->at[i].listener->fd))
            return true;
    return false;
}
