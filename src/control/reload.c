/* SPDX-License-Identifier: MIT */
#include "greetd/control/reload.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "greetd/base/diagnostics.h"
#include "greetd/control/announce.h"
#include "greetd/journal/catalog.h"

/* Loads the configuration and prepares all that is needed to serve it. Returns 0, or a negative
 * errno when nothing has changed; DIAGNOSTICS has the reasons. */
static int prepare(struct reload *reload, struct diagnostics *diagnostics)
{
    _cleanup_(config_unrefp) struct config *config = NULL;
    _cleanup_(snapshot_unrefp) struct snapshot *snapshot = NULL;
    int r = config_load(&config, reload->options, diagnostics);

    if (r < 0)
        return r;
    r = sockets_prepare(&snapshot, reload->sockets, config, diagnostics);
    if (r < 0)
        return r;
    r = pool_prepare(reload->pool, snapshot, &reload->prepared);
    if (r < 0) {
        diagnostics_add(diagnostics, "Failed to prepare the workers: %s", strerrordesc_np(-r));
        return r;
    }
    unit_states_add_snapshot(reload->unit_states, snapshot);
    reload->snapshot = TAKE_PTR(snapshot);
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

static void announce(const struct reload *reload, const struct snapshot *before,
                     size_t n_not_kept_before)
{
    const struct snapshot *snapshot = reload->sockets->snapshot;

    announce_listening(reload->logger, snapshot, before);
    announce_unused(reload->logger, snapshot->config, reload->sockets);
    if (reload->sockets->n_not_kept != n_not_kept_before)
        announce_not_kept(reload->logger, reload->sockets);
    announce_needs_restart(reload->logger, reload->started, snapshot->config);
}

/* Puts the prepared snapshot in force, which can't fail. */
static void activate(void *p)
{
    struct reload *reload = p;
    _cleanup_(snapshot_unrefp) struct snapshot *snapshot = TAKE_PTR(reload->snapshot);
    _cleanup_(snapshot_unrefp) struct snapshot *before = snapshot_ref(reload->sockets->snapshot);
    _cleanup_(diagnostics_deinit) struct diagnostics diagnostics = DIAGNOSTICS_NULL;
    size_t n_not_kept_before = reload->sockets->n_not_kept;
    const struct logger_options options = announce_options(snapshot->config);

    reload->state = RELOAD_ADOPTING;
    (void)sockets_activate(reload->sockets, snapshot, &diagnostics);
    pool_adopt(reload->pool, snapshot, TAKE_PTR(reload->prepared));
    logger_configure(reload->logger, &options);
    announce(reload, before, n_not_kept_before);
    announce_warnings(reload->logger, MESSAGE_ID_FAILED, &diagnostics);
    messages_renew(reload->messages, snapshot);
    reload->activated(reload->userdata);
}

/* The sockets that the new snapshot does not have first refuse new handshakes; those under way are
 * waited for. */
static void begin(struct reload *reload)
{
    _cleanup_(diagnostics_deinit) struct diagnostics diagnostics = DIAGNOSTICS_NULL;

    reload->requested = false;
    status_reloading(reload->status);
    int r = prepare(reload, &diagnostics);

    metrics_add(&reload->metrics->reloads[r < 0 ? METRICS_FAILURE : METRICS_SUCCESS], 1);
    if (r < 0) {
        log_failure(reload, &diagnostics, r);
        status_ready(reload->status);
        return;
    }
    announce_warnings(reload->logger, MESSAGE_ID_FAILED, &diagnostics);
    reload->state = RELOAD_PREPARED;
    messages_hold(reload->messages);
    sockets_drop_syn(reload->sockets, reload->snapshot);
    handshake_await(reload->handshake, reload->sockets->snapshot, reload->snapshot, activate,
                    reload);
}

static void finish(struct reload *reload)
{
    reload->state = RELOAD_IDLE;
    logger_log(reload->logger, LOG_INFO, MESSAGE_ID_RELOADED, "Reloaded the configuration");
    status_trouble(reload->status, NULL);
    status_ready(reload->status);
}

void reload_advance(struct reload *reload)
{
    if (!pool_settled(reload->pool))
        return;
    if (reload->state == RELOAD_ADOPTING)
        finish(reload);
    if (reload->state == RELOAD_IDLE && reload->requested)
        begin(reload);
}

void reload_deinit(struct reload *reload)
{
    pool_discard(TAKE_PTR(reload->prepared));
    snapshot_unref(TAKE_PTR(reload->snapshot));
}
