/* SPDX-License-Identifier: MIT */
#pragma once

/* Sockets with the configuration that they are for, for the tests of how they are opened, changed
 * and handed on. */

#include <criterion/criterion.h>
#include <stdio.h>
#include <unistd.h>

#include "greetd/listen/sockets.h"
#include "support/pass_fds.h"
#include "support/temp_dir.h"

struct scene {
    struct scratch scratch;
    struct config *config;
    struct sockets sockets;
    struct report report;
};

/* Loads TEXT, in which each @ is made a name that no other process uses. */
static inline void configure(struct scene *scene, const char *text)
{
    char unique[1024];
    size_t n = 0;

    *scene = (struct scene){.report = REPORT_NULL};
    for (const char *p = text; *p; p++)
        if (*p == '@')
            n += (size_t)snprintf(unique + n, sizeof(unique) - n, "@greetd-%d-", (int)getpid());
        else
            unique[n++] = *p;
    cr_assert_lt(n, sizeof(unique));
    unique[n] = '\0';
    scratch_init(&scene->scratch);
    struct config_options options = {
        .path = scratch_write_text(&scene->scratch, "greetd.conf", unique),
    };
    cr_assert_eq(config_load(&scene->config, &options, &scene->report), 0, "%s",
                 scene->report.n_lines > 0 ? scene->report.lines[0] : "");
}

static inline void finish(struct scene *scene)
{
    sockets_deinit(&scene->sockets);
    config_unref(scene->config);
    report_deinit(&scene->report);
    scratch_deinit(&scene->scratch);
}

static inline void end_passed(struct scene *scene)
{
    struct listener_set set = {0};

    for (size_t i = 0; scene->sockets.endpoints && i < scene->sockets.endpoints->n; i++)
        (void)listener_set_add(&set, scene->sockets.endpoints->at[i].listener);
    passed_end(&set);
    listener_set_deinit(&set);
}

/* Loads TEXT instead of what was loaded before, as configure() does, and prepares it. */
static inline int prepare(struct scene *scene, const char *text, struct endpoints **ret)
{
    struct scene next;

    configure(&next, text);
    int r = sockets_prepare(ret, &scene->sockets, next.config, &scene->report);
    config_unref(next.config);
    scratch_deinit(&next.scratch);
    return r;
}

static inline void change(struct scene *scene, const char *text)
{
    _cleanup_(endpoints_unrefp) struct endpoints *endpoints = NULL;

    cr_assert_eq(prepare(scene, text, &endpoints), 0);
    sockets_change_to(&scene->sockets, endpoints);
}

static inline struct listener *listener_at(const struct scene *scene, size_t i)
{
    return scene->sockets.endpoints->at[i].listener;
}
