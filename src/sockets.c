/* SPDX-License-Identifier: MIT */
#include "greetd/sockets.h"

#include <errno.h>
#include <string.h>

#include "greetd/sockutil.h"

/* The endpoint of the socket that was added last; which one that is, is settled by
 * link_listeners(). */
static int add_endpoint(struct sockets *sockets, const struct config_listener *config)
{
    struct endpoints *endpoints = &sockets->endpoints;
    struct endpoint *at = reallocarray(endpoints->at, endpoints->n + 1, sizeof(*at));

    if (!at)
        return -ENOMEM;
    endpoints->at = at;
    endpoints->at[endpoints->n++] = (struct endpoint){.config = config};
    return 0;
}

/* The array of sockets has stopped moving. */
static void link_listeners(struct sockets *sockets)
{
    for (size_t i = 0; i < sockets->listeners.n; i++)
        sockets->endpoints.at[i].listener = &sockets->listeners.listeners[i];
}

/* Opens the addresses of one section. */
static int open_addresses(struct sockets *sockets, const struct config_listener *config,
                          int backlog, struct report *report)
{
    for (size_t i = 0; i < config->addresses.n; i++) {
        int r = listener_open(&sockets->listeners, config->name, &config->addresses.addresses[i],
                              backlog);
        if (r >= 0)
            r = add_endpoint(sockets, config);
        if (r < 0) {
            report_add(report, "Failed to listen on %s: %s", config->addresses.texts[i],
                       strerrordesc_np(-r));
            return r;
        }
    }
    return 0;
}

static int open_configured(struct sockets *sockets, const struct config *config,
                           struct report *report)
{
    int backlog = (int)config_server(config)->backlog;
    int r = open_addresses(sockets, config_default_listener(config), backlog, report);

    for (size_t i = 0; r >= 0 && i < config_n_listeners(config); i++)
        r = open_addresses(sockets, config_listener_at(config, i), backlog, report);
    if (r >= 0 && sockets->listeners.n == 0) {
        report_add(report, "Nothing to listen on: ListenStream= is empty and systemd passed no "
                           "socket");
        return -EBADMSG;
    }
    return r;
}

/* A socket that was passed has the greeting of the section with its name, or else of [Greeting]. */
static int match_passed(struct sockets *sockets, const struct config *config, struct report *report)
{
    for (size_t i = 0; i < sockets->listeners.n; i++) {
        const struct config_listener *named =
            config_find_listener(config, sockets->listeners.listeners[i].name);
        int r = add_endpoint(sockets, named ? named : config_default_listener(config));

        if (r < 0) {
            report_add(report, "Failed to prepare the sockets: %s", strerrordesc_np(-r));
            return r;
        }
    }
    return 0;
}

static int set_fast_open(struct sockets *sockets, const struct config *config,
                         struct report *report)
{
    const struct server_settings *server = config_server(config);

    for (size_t i = 0; server->fast_open && i < sockets->listeners.n; i++) {
        int r = sockutil_set_fast_open(sockets->listeners.listeners[i].fd, (int)server->backlog);

        if (r < 0) {
            report_add(report, "Failed to set FastOpen=: %s", strerrordesc_np(-r));
            return r;
        }
    }
    return 0;
}

int sockets_open(struct sockets *sockets, const struct config *config, struct report *report)
{
    int r = listener_inherit(&sockets->listeners, report);

    if (r == -EBADMSG)
        return r;
    if (r < 0) {
        report_add(report, "Failed to take over the sockets passed by systemd: %s",
                   strerrordesc_np(-r));
        return r;
    }

    sockets->inherited = r > 0;
    r = sockets->inherited ? match_passed(sockets, config, report)
                           : open_configured(sockets, config, report);
    if (r >= 0)
        r = set_fast_open(sockets, config, report);
    if (r < 0)
        return r;
    link_listeners(sockets);
    return 0;
}

void sockets_deinit(struct sockets *sockets)
{
    free(sockets->endpoints.at);
    sockets->endpoints = (struct endpoints){0};
    listener_set_deinit(&sockets->listeners);
}

bool sockets_use(const struct sockets *sockets, const struct config_listener *listener)
{
    for (size_t i = 0; i < sockets->endpoints.n; i++)
        if (sockets->endpoints.at[i].config == listener)
            return true;
    return false;
}
