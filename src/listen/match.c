/* SPDX-License-Identifier: MIT */
#include "greetd/listen/match.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "greetd/listen/fdstore.h"

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

static void match_address(struct match *match, const struct config_listener *section, size_t i,
                          const struct listener_set *available)
{
    struct match_address *wanted = &match->addresses[match->snapshot->n];

    wanted->text = section->addresses.texts[i];
    wanted->error = listener_resolve(&wanted->address, &section->addresses.addresses[i]);
    snapshot_add(match->snapshot,
                 wanted->error < 0 ? NULL : find_available(match, available, &wanted->address),
                 section);
}

static void match_configured(struct match *match, const struct listener_set *available)
{
    const struct config_listener *section;

    for (size_t i = 0; (section = section_at(match->snapshot->config, i)); i++)
        for (size_t j = 0; j < section->addresses.n; j++)
            match_address(match, section, j, available);
}

/* A passed socket has the greeting of the section with its name, or else that of [Greeting]. */
static void match_inherited(struct match *match, const struct listener_set *available)
{
    const struct config *config = match->snapshot->config;

    for (size_t i = 0; i < available->n; i++) {
        struct listener *listener = available->at[i];
        const struct config_listener *named =
            listener->name ? config_find_listener(config, listener->name) : NULL;

        if (listener->inherited)
            snapshot_add(match->snapshot, listener,
                         named ? named : config_default_listener(config));
    }
}

int match_init(struct match *match, struct config *config, const struct listener_set *available,
               bool inherited)
{
    size_t n = inherited ? available->n : count_addresses(config);

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
    match_configured(match, available);
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

static int open_binding(struct match *match, size_t i)
{
    struct binding *binding = &match->snapshot->bindings[i];
    int backlog = (int)config_server(match->snapshot->config)->backlog;

    if (match->addresses[i].error < 0)
        return match->addresses[i].error;
    if (binding->listener)
        fdstore_remove(binding->listener);
    listener_unref(TAKE_PTR(binding->listener));
    return listener_open(&binding->listener, &match->addresses[i].address, backlog);
}

int match_open_missing(struct match *match, struct diagnostics *diagnostics)
{
    for (size_t i = 0; i < match->snapshot->n; i++) {
        int r = is_missing(match, i) ? open_binding(match, i) : 0;

        if (r < 0) {
            diagnostics_add(diagnostics, "Failed to listen on %s: %s", match->addresses[i].text,
                            strerrordesc_np(-r));
            return r;
        }
    }
    if (match->snapshot->n > 0)
        return 0;
    diagnostics_add(diagnostics,
                    "Nothing to listen on: ListenStream= is empty and systemd passed no socket");
    return -EBADMSG;
}
