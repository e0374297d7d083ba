/* SPDX-License-Identifier: MIT */
#pragma once

/* The sockets of a configuration, for the tests of how they are opened, changed and handed on. */

#include <criterion/criterion.h>
#include <stdio.h>
#include <unistd.h>

#include "greetd/listen/sockets.h"
#include "support/pass_fds.h"
#include "support/temp_dir.h"

struct sockets_fixture {
    struct temp_dir temp_dir;
    struct config *config;
    size_t n_workers; /* 1, unless a test sets it after sockets_fixture_load() */
    struct sockets sockets;
    struct diagnostics diagnostics;
};

/* Loads the configuration TEXT. Each @ becomes the prefix of a name that no other process uses. */
static inline void sockets_fixture_load(struct sockets_fixture *fixture, const char *text)
{
    char unique[1024];
    size_t n = 0;

    *fixture = (struct sockets_fixture){.n_workers = 1, .diagnostics = DIAGNOSTICS_NULL};
    for (const char *p = text; *p; p++)
        if (*p == '@')
            n += (size_t)snprintf(unique + n, sizeof(unique) - n, "@greetd-%d-", (int)getpid());
        else
            unique[n++] = *p;
    cr_assert_lt(n, sizeof(unique));
    unique[n] = '\0';
    temp_dir_init(&fixture->temp_dir);
    struct config_options options = {
        .path = temp_dir_write_text(&fixture->temp_dir, "greetd.conf", unique),
    };
    cr_assert_eq(config_load(&fixture->config, &options, &fixture->diagnostics), 0, "%s",
                 fixture->diagnostics.n_lines > 0 ? fixture->diagnostics.lines[0] : "");
}

/* Loads TEXT and opens its sockets. */
static inline void sockets_fixture_open(struct sockets_fixture *fixture, const char *text)
{
    sockets_fixture_load(fixture, text);
    cr_assert_eq(
        sockets_open(&fixture->sockets, fixture->config, fixture->n_workers, &fixture->diagnostics),
        0);
}

/* Opens the sockets of the loaded configuration while systemd passes the N descriptors FDS under
 * NAMES, as pass_fds_begin() takes them. Returns what sockets_open() returns. */
static inline int sockets_fixture_open_passed(struct sockets_fixture *fixture, const int *fds,
                                              int n, const char *names)
{
    struct listener_set set = {0};

    pass_fds_begin(fds, n, names);
    int r =
        sockets_open(&fixture->sockets, fixture->config, fixture->n_workers, &fixture->diagnostics);
    for (size_t i = 0; fixture->sockets.snapshot && i < fixture->sockets.snapshot->n; i++)
        (void)listener_set_add(&set, fixture->sockets.snapshot->bindings[i].listener);
    pass_fds_end(&set);
    listener_set_deinit(&set);
    return r;
}

static inline void sockets_fixture_close(struct sockets_fixture *fixture)
{
    sockets_deinit(&fixture->sockets);
    config_unref(fixture->config);
    diagnostics_deinit(&fixture->diagnostics);
    temp_dir_deinit(&fixture->temp_dir);
}

/* Loads TEXT as sockets_fixture_load() does, and prepares a snapshot of it. Returns what
 * sockets_prepare() returns. */
static inline int sockets_fixture_prepare(struct sockets_fixture *fixture, const char *text,
                                          struct snapshot **ret)
{
    struct sockets_fixture next;

    sockets_fixture_load(&next, text);
    int r = sockets_prepare(ret, &fixture->sockets, next.config, &fixture->diagnostics);
    config_unref(next.config);
    temp_dir_deinit(&next.temp_dir);
    return r;
}

/* Replaces the configuration with TEXT and puts its sockets in force. */
static inline void sockets_fixture_change(struct sockets_fixture *fixture, const char *text)
{
    _cleanup_(snapshot_unrefp) struct snapshot *snapshot = NULL;

    cr_assert_eq(sockets_fixture_prepare(fixture, text, &snapshot), 0);
    sockets_activate(&fixture->sockets, snapshot, &fixture->diagnostics);
}

static inline struct listener *sockets_fixture_listener(const struct sockets_fixture *fixture,
                                                        size_t i)
{
    return fixture->sockets.snapshot->bindings[i].listener;
}
