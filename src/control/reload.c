/* SPDX-License-Identifier: MIT */
#include "greetd/control/reload.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "greetd/base/clock.h"
#include "greetd/base/diagnostics.h"
#include "greetd/journal/catalog.h"
#include "greetd/metrics/metrics.h"

struct logger_options announce_log_options(const struct config *config)
{
    const struct log_settings *log = config_log(config);

    return (struct logger_options){
        .connections = log->connections,
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

        if (!before || !snapshot_has(before, binding->listener))
            logger_log_listening(logger, binding_name(binding),
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

/* Of what the files say of listening, what is for the socket units to say. */
static void log_ignored_listening(struct logger *logger, const struct config *config)
{
    const char *backlog = config_server_origin(config, "Backlog");

    if (backlog)
        logger_log(logger, LOG_NOTICE, MESSAGE_ID_SETTING_UNUSED,
                   "%s: Backlog= has no effect: systemd passed the sockets", backlog);
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

void announce_unusable(struct logger *logger, const struct diagnostics *diagnostics)
{
    for (size_t i = 0; i < diagnostics->n_lines; i++)
        logger_log(logger, LOG_WARNING, MESSAGE_ID_SOCKET_UNUSABLE, "%s", diagnostics->lines[i]);
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

static void log_if_changed(struct logger *logger, const char *name, uint64_t before, uint64_t after)
{
    char number[sizeof("18446744073709551615")];

    if (after == before)
        return;
    snprintf(number, sizeof(number), "%" PRIu64, before);
    logger_log(logger, LOG_NOTICE, MESSAGE_ID_NEEDS_RESTART,
               "%s= stays at %s until the next restart", name, before > 0 ? number : "auto");
}

/* What the process was made for when it started. */
static void log_needs_restart(const struct reload *reload, const struct config *config)
{
    const struct server_settings *before = config_server(reload->started);
    const struct server_settings *after = config_server(config);

    log_if_changed(reload->logger, "Workers", before->workers, after->workers);
    log_if_changed(reload->logger, "MaxConnections", before->max_connections,
                   after->max_connections);
}

/* Returns 0, or a negative errno when nothing has changed and DIAGNOSTICS says why. */
static int load(struct reload *reload, struct diagnostics *diagnostics)
{
    _cleanup_(config_unrefp) struct config *config = NULL;
    _cleanup_(snapshot_unrefp) struct snapshot *snapshot = NULL;
    struct generation *prepared;
    int r = config_load(&config, reload->options, diagnostics);

    if (r < 0)
        return r;
    r = sockets_prepare(&snapshot, reload->sockets, config, diagnostics);
    if (r < 0)
        return r;
    r = pool_prepare(reload->pool, snapshot, &prepared);
    if (r < 0) {
        diagnostics_add(diagnostics, "Failed to prepare the workers: %s", strerrordesc_np(-r));
        return r;
    }
    reload->snapshot = TAKE_PTR(snapshot);
    reload->prepared = prepared;
    return 0;
}

static void log_failure(const struct reload *reload, const struct diagnostics *diagnostics,
                        int error)
{
    const char *id = error == -EBADMSG ? MESSAGE_ID_CONFIG_ERROR : MESSAGE_ID_FAILED;
    const char *first = diagnostics->n_lines > 0 ? diagnostics->lines[0] : "Out of memory";
    char trouble[STATUS_TEXT_MAX / 2];

    logger_log(reload->logger, LOG_ERR, id, "%s", first);
    for (size_t i = 1; i < diagnostics->n_lines; i++)
        logger_log(reload->logger, LOG_ERR, id, "%s", diagnostics->lines[i]);
    logger_log(reload->logger, LOG_ERR, MESSAGE_ID_RELOAD_FAILED,
               "Reload failed, the configuration in force stays");
    snprintf(trouble, sizeof(trouble), "last reload failed: %s", first);
    status_trouble(reload->status, trouble);
}

static void log_success(const struct reload *reload)
{
    logger_log(reload->logger, LOG_INFO, MESSAGE_ID_RELOADED, "Reloaded the configuration");
    status_trouble(reload->status, NULL);
}

static void count(const struct reload *reload, enum metrics_reload how)
{
    metrics_add(&pool_metrics(reload->pool)->reloads[how], 1);
}

static void begin(struct reload *reload)
{
    _cleanup_(diagnostics_deinit) struct diagnostics diagnostics = DIAGNOSTICS_NULL;

    reload->wanted = false;
    reload->running = true;
    /* The time is what systemd tells this reload from an earlier one by. */
    sd_notifyf(false, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, clock_now());
    int r = load(reload, &diagnostics);
    count(reload, r < 0 ? METRICS_RELOAD_FAILURE : METRICS_RELOAD_SUCCESS);
    reload->loaded = r >= 0;
    if (r < 0)
        log_failure(reload, &diagnostics, r);
}

/* There is no way back from here. */
void reload_activate(struct reload *reload)
{
    struct snapshot *snapshot = TAKE_PTR(reload->snapshot);
    struct snapshot *before = snapshot_ref(reload->sockets->snapshot);
    size_t n_unkept_before = reload->sockets->n_not_kept;
    const struct config *config = snapshot->config;
    const struct logger_options log_options = announce_log_options(config);

    int r = sockets_activate(reload->sockets, snapshot);
    pool_adopt(reload->pool, snapshot, TAKE_PTR(reload->prepared));
    logger_configure(reload->logger, &log_options);
    announce_listening(reload->logger, snapshot, before);
    announce_unused(reload->logger, config, reload->sockets);
    if (reload->sockets->n_not_kept != n_unkept_before)
        announce_not_kept(reload->logger, reload->sockets);
    log_needs_restart(reload, config);
    if (r < 0)
        logger_log(reload->logger, LOG_WARNING, MESSAGE_ID_FAILED, "Failed to set FastOpen=: %s",
                   strerrordesc_np(-r));
    snapshot_unref(before);
    snapshot_unref(snapshot);
}

static void finish_if_settled(struct reload *reload)
{
    if (!reload->running || reload->snapshot || !pool_settled(reload->pool))
        return;
    reload->running = false;
    if (reload->loaded)
        log_success(reload);
    sd_notify(false, "READY=1");
}

bool reload_advance(struct reload *reload)
{
    finish_if_settled(reload);
    if (!reload->wanted || reload->running || !pool_settled(reload->pool))
        return false;
    begin(reload);
    finish_if_settled(reload);
    return reload->snapshot;
}

void reload_deinit(struct reload *reload)
{
    pool_discard(TAKE_PTR(reload->prepared));
    snapshot_unref(TAKE_PTR(reload->snapshot));
}
