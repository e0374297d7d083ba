/* SPDX-License-Identifier: MIT */
#include "greetd/control/announce.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <systemd/sd-daemon.h>

#include "greetd/base/clock.h"
#include "greetd/journal/catalog.h"
#include "greetd/net/address.h"

struct logger_options announce_options(const struct config *config)
{
    const struct log_settings *log = config_log(config);

    return (struct logger_options){
        .level = (int)log->level,
        .limit = {.interval_usec = log->rate_limit_interval_usec, .burst = log->rate_limit_burst},
    };
}

void announce_listening(struct logger *logger, const struct snapshot *snapshot,
                        const struct snapshot *before)
{
    char address[ADDRESS_TEXT_MAX];

    for (size_t i = 0; i < snapshot->n; i++) {
        const struct binding *binding = &snapshot->bindings[i];

        if (binding->shard == 0 && (!before || !snapshot_has(before, binding->listener)))
            logger_log_about(logger, binding_name(binding), LOG_INFO, MESSAGE_ID_LISTENING,
                             "Server is listening on %s",
                             address_format(&binding->listener->address, address));
    }
}

static void log_ignored_addresses(struct logger *logger, const struct config_listener *listener)
{
    const struct address_list *list = &listener->addresses;

    for (size_t i = 0; i < list->n; i++)
        if (list->origins[i])
            logger_log(logger, LOG_NOTICE, MESSAGE_ID_SETTING_UNUSED,
                       "%s: ListenStream=%s has no effect: systemd passed the sockets",
                       list->origins[i], list->texts[i]);
}

/* Logs the settings about listening that the socket units decide. */
static void log_ignored_listening(struct logger *logger, const struct config *config)
{
    static const char *const names[] = {"Backlog", "ReusePort"};

    for (size_t i = 0; i < ELEMENTSOF(names); i++) {
        const char *origin = config_server_origin(config, names[i]);

        if (origin)
            logger_log(logger, LOG_NOTICE, MESSAGE_ID_SETTING_UNUSED,
                       "%s: %s= has no effect: systemd passed the sockets", origin, names[i]);
    }
    log_ignored_addresses(logger, config_default_listener(config));
    for (size_t i = 0; i < config_n_listeners(config); i++)
        log_ignored_addresses(logger, config_listener_at(config, i));
}

void announce_unused(struct logger *logger, const struct config *config,
                     const struct sockets *sockets)
{
    for (size_t i = 0; i < config_n_listeners(config); i++) {
        const struct config_listener *listener = config_listener_at(config, i);

        if (!sockets_use(sockets, listener))
            logger_log(logger, LOG_WARNING, MESSAGE_ID_SETTING_UNUSED,
                       "No socket is named %s: [Listener %s] is not used", listener->name,
                       listener->name);
    }
    if (sockets->inherited)
        log_ignored_listening(logger, config);
    else if (config_server(config)->idle_exit_usec != USEC_INFINITY)
        logger_log(logger, LOG_NOTICE, MESSAGE_ID_SETTING_UNUSED,
                   "%s: IdleExitSec= has no effect: systemd passed no socket",
                   config_server_origin(config, "IdleExitSec"));
}

void announce_warnings(struct logger *logger, const char *id, const struct diagnostics *diagnostics)
{
    for (size_t i = 0; i < diagnostics->n_lines; i++)
        logger_log(logger, LOG_WARNING, id, "%s", diagnostics->lines[i]);
}

void announce_not_kept(struct logger *logger, const struct sockets *sockets)
{
    size_t n = sockets->snapshot->n;

    if (sockets->n_not_kept > 0)
        logger_log(logger, LOG_WARNING, MESSAGE_ID_SOCKETS_NOT_KEPT,
                   "systemd keeps %zu of %zu sockets over a restart: "
                   "FileDescriptorStoreMax= is too small",
                   n - sockets->n_not_kept, n);
}

void announce_closed(struct logger *logger, const char *address)
{
    logger_log(logger, LOG_INFO, MESSAGE_ID_NOT_LISTENING, "Server no longer listens on %s",
               address);
}

static void log_if_changed(struct logger *logger, const char *name, uint64_t before, uint64_t after)
{
    char number[sizeof("18446744073709551615")];

    if (after == before)
        return;
    snprintf(number, sizeof(number), "%" PRIu64, before);
    logger_log(logger, LOG_NOTICE, MESSAGE_ID_NEEDS_RESTART,
               "%s= stays at %s until the next restart", name, before > 0 ? number : "auto");
}

void announce_needs_restart(struct logger *logger, const struct server_settings *started,
                            const struct config *config)
{
    const struct server_settings *now = config_server(config);

    log_if_changed(logger, "Workers", started->workers, now->workers);
    log_if_changed(logger, "MaxConnections", started->max_connections, now->max_connections);
}

void announce_start(struct logger *logger, const struct config *config,
                    const struct sockets *sockets, const struct diagnostics *diagnostics)
{
    announce_warnings(logger, MESSAGE_ID_SOCKET_UNUSABLE, diagnostics);
    announce_listening(logger, sockets->snapshot, NULL);
    announce_unused(logger, config, sockets);
    announce_not_kept(logger, sockets);
}

static void log_line(struct sink *sink, struct logger *logger, const char *id, const char *text)
{
    if (logger)
        logger_log(logger, LOG_ERR, id, "%s", text);
    else if (sink->journal)
        sink_try_write(sink, LOG_ERR, text);
    else
        (void)dprintf(sink->fd, "%s\n", text);
}

int announce_failure(struct sink *sink, struct logger *logger, const char *what, int error)
{
    const char *reason = strerrordesc_np(-error);
    char text[SINK_MESSAGE_MAX];

    snprintf(text, sizeof(text), "%s: %s", what, reason);
    log_line(sink, logger, MESSAGE_ID_FAILED, text);
    sd_notifyf(false, "STATUS=%s: %s\nERRNO=%d", what, reason, -error);
    return EX_OSERR;
}

int announce_failure_lines(struct sink *sink, struct logger *logger,
                           const struct diagnostics *diagnostics, int error)
{
    bool is_mistake = error == -EBADMSG;

    for (size_t i = 0; i < diagnostics->n_lines; i++)
        log_line(sink, logger, is_mistake ? MESSAGE_ID_CONFIG_ERROR : MESSAGE_ID_FAILED,
                 diagnostics->lines[i]);
    sd_notifyf(false, "STATUS=%s%s\nERRNO=%d",
               diagnostics->n_lines > 0 ? diagnostics->lines[0] : "Out of memory",
               diagnostics->n_errors > 1 ? ", and more" : "", is_mistake ? EINVAL : -error);
    return is_mistake ? EX_CONFIG : EX_OSERR;
}
