/* SPDX-License-Identifier: MIT */
#include "greetd/control/reload.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "greetd/base/diagnostics.h"
#include "greetd/base/timeout_queue.h"
#include "greetd/metrics/metrics.h"

struct connlog_options reload_log_options(const struct config *config)
{
    const struct log_settings *log = config_log(config);

    return (struct connlog_options){
        .connections = log->connections,
        .level = (int)log->level,
        .limit = {.interval_usec = log->rate_limit_interval_usec, .burst = log->rate_limit_burst},
    };
}

void reload_log_listening(struct connlog *connlog, const struct endpoints *endpoints,
                          const struct endpoints *before)
{
    char address[ADDRESS_TEXT_MAX];

    for (size_t i = 0; i < endpoints->n; i++) {
        const struct endpoint *endpoint = &endpoints->at[i];

        if (!before || !endpoints_have(before, endpoint->listener))
            connlog_listening(connlog, endpoint_name(endpoint),
                              address_format(&endpoint->listener->address, address));
    }
}

static void log_ignored_addresses(struct connlog *connlog, const struct config_listener *listener)
{
    const struct setting_addresses *list = &listener->addresses;

    for (size_t i = 0; i < list->n; i++)
        if (list->origins[i])
            connlog_message(connlog, LOG_NOTICE, LOG_ID_UNUSED,
                            "%s: ListenStream=%s has no effect: systemd passed the sockets",
                            list->origins[i], list->texts[i]);
}

/* Of what the files say of listening, what is for the socket units to say. */
static void log_ignored_listening(struct connlog *connlog, const struct config *config)
{
    const char *backlog = config_server_origin(config, "Backlog");

    if (backlog)
        connlog_message(connlog, LOG_NOTICE, LOG_ID_UNUSED,
                        "%s: Backlog= has no effect: systemd passed the sockets", backlog);
    log_ignored_addresses(connlog, config_default_listener(config));
    for (size_t i = 0; i < config_n_listeners(config); i++)
        log_ignored_addresses(connlog, config_listener_at(config, i));
}

void reload_log_unused(struct connlog *connlog, const struct config *config,
                       const struct sockets *sockets)
{
    for (size_t i = 0; i < config_n_listeners(config); i++) {
        const struct config_listener *listener = config_listener_at(config, i);

        if (!sockets_use(sockets, listener))
            connlog_message(connlog, LOG_WARNING, LOG_ID_UNUSED,
                            "No socket is named %s: [Listener %s] is not used", listener->name,
                            listener->name);
    }
    if (sockets->inherited)
        log_ignored_listening(connlog, config);
    else if (config_server(config)->idle_exit_usec != DEADLINE_NEVER)
        connlog_message(connlog, LOG_NOTICE, LOG_ID_UNUSED,
                        "%s: IdleExitSec= has no effect: systemd passed no socket",
                        config_server_origin(config, "IdleExitSec"));
}

void reload_log_unusable(struct connlog *connlog, const struct report *report)
{
    for (size_t i = 0; i < report->n_lines; i++)
        connlog_message(connlog, LOG_WARNING, LOG_ID_UNUSABLE, "%s", report->lines[i]);
}

void reload_log_unkept(struct connlog *connlog, const struct sockets *sockets)
{
    size_t n = sockets->endpoints->n;

    if (sockets->n_unkept > 0)
        connlog_message(connlog, LOG_WARNING, LOG_ID_UNKEPT,
                        "systemd keeps %zu of %zu sockets over a restart: "
                        "FileDescriptorStoreMax= is too small",
                        n - sockets->n_unkept, n);
}

static void tell_if_changed(struct connlog *connlog, const char *name, uint64_t before,
                            uint64_t after)
{
    char number[sizeof("18446744073709551615")];

    if (after == before)
        return;
    snprintf(number, sizeof(number), "%" PRIu64, before);
    connlog_message(connlog, LOG_NOTICE, LOG_ID_NEEDS_RESTART,
                    "%s= stays at %s until the next restart", name, before > 0 ? number : "auto");
}

/* What the process was made for when it started. */
static void tell_what_stays(const struct reload *reload, const struct config *config)
{
    const struct server_settings *before = config_server(reload->started);
    const struct server_settings *after = config_server(config);

    tell_if_changed(reload->connlog, "Workers", before->workers, after->workers);
    tell_if_changed(reload->connlog, "MaxConnections", before->max_connections,
                    after->max_connections);
}

/* Returns 0, or a negative errno when nothing has changed and REPORT says why. */
static int load(struct reload *reload, struct report *report)
{
    _cleanup_(config_unrefp) struct config *config = NULL;
    _cleanup_(endpoints_unrefp) struct endpoints *endpoints = NULL;
    struct generation *prepared;
    int r = config_load(&config, reload->options, report);

    if (r < 0)
        return r;
    r = sockets_prepare(&endpoints, reload->sockets, config, report);
    if (r < 0)
        return r;
    r = pool_prepare(reload->pool, endpoints, &prepared);
    if (r < 0) {
        report_add(report, "Failed to prepare the workers: %s", strerrordesc_np(-r));
        return r;
    }
    reload->endpoints = TAKE_PTR(endpoints);
    reload->prepared = prepared;
    return 0;
}

static void tell_failure(const struct reload *reload, const struct report *report, int error)
{
    const char *id = error == -EBADMSG ? LOG_ID_CONFIG : LOG_ID_FAILED;
    const char *first = report->n_lines > 0 ? report->lines[0] : "Out of memory";
    char trouble[STATUS_TEXT_MAX / 2];

    connlog_message(reload->connlog, LOG_ERR, id, "%s", first);
    for (size_t i = 1; i < report->n_lines; i++)
        connlog_message(reload->connlog, LOG_ERR, id, "%s", report->lines[i]);
    connlog_message(reload->connlog, LOG_ERR, LOG_ID_RELOAD_FAILED,
                    "Reload failed, the configuration in force stays");
    snprintf(trouble, sizeof(trouble), "last reload failed: %s", first);
    status_trouble(reload->status, trouble);
}

static void tell_success(const struct reload *reload)
{
    connlog_message(reload->connlog, LOG_INFO, LOG_ID_RELOADED, "Reloaded the configuration");
    status_trouble(reload->status, NULL);
}

static void count(const struct reload *reload, enum metrics_reload how)
{
    metrics_add(&pool_metrics(reload->pool)->reloads[how], 1);
}

static void begin(struct reload *reload)
{
    _cleanup_(report_deinit) struct report report = REPORT_NULL;

    reload->wanted = false;
    reload->running = true;
    /* The time is what systemd tells this reload from an earlier one by. */
    sd_notifyf(false, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, deadline_now());
    int r = load(reload, &report);
    count(reload, r < 0 ? METRICS_RELOAD_FAILURE : METRICS_RELOAD_SUCCESS);
    reload->loaded = r >= 0;
    if (r < 0)
        tell_failure(reload, &report, r);
}

/* There is no way back from here. */
void reload_put_in_force(struct reload *reload)
{
    struct endpoints *endpoints = TAKE_PTR(reload->endpoints);
    struct endpoints *before = endpoints_ref(reload->sockets->endpoints);
    size_t n_unkept_before = reload->sockets->n_unkept;
    const struct config *config = endpoints->config;
    const struct connlog_options log_options = reload_log_options(config);

    int r = sockets_change_to(reload->sockets, endpoints);
    pool_adopt(reload->pool, endpoints, TAKE_PTR(reload->prepared));
    connlog_configure(reload->connlog, &log_options);
    reload_log_listening(reload->connlog, endpoints, before);
    reload_log_unused(reload->connlog, config, reload->sockets);
    if (reload->sockets->n_unkept != n_unkept_before)
        reload_log_unkept(reload->connlog, reload->sockets);
    tell_what_stays(reload, config);
    if (r < 0)
        connlog_message(reload->connlog, LOG_WARNING, LOG_ID_FAILED, "Failed to set FastOpen=: %s",
                        strerrordesc_np(-r));
    endpoints_unref(before);
    endpoints_unref(endpoints);
}

static void finish_if_settled(struct reload *reload)
{
    if (!reload->running || reload->endpoints || !pool_settled(reload->pool))
        return;
    reload->running = false;
    if (reload->loaded)
        tell_success(reload);
    sd_notify(false, "READY=1");
}

bool reload_go_on(struct reload *reload)
{
    finish_if_settled(reload);
    if (!reload->wanted || reload->running || !pool_settled(reload->pool))
        return false;
    begin(reload);
    finish_if_settled(reload);
    return reload->endpoints;
}

void reload_deinit(struct reload *reload)
{
    pool_discard(TAKE_PTR(reload->prepared));
    endpoints_unref(TAKE_PTR(reload->endpoints));
}
