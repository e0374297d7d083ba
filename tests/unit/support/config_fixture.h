/* SPDX-License-Identifier: MIT */
#pragma once

/* Configurations that a test loads from files of its own, and their errors. */

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "greetd/config/config.h"
#include "support/temp_dir.h"

static struct temp_dir temp_dir;
static struct diagnostics diagnostics;

static inline void set_up(void)
{
    temp_dir_init(&temp_dir);
    diagnostics = DIAGNOSTICS_NULL;
}

static inline void tear_down(void)
{
    diagnostics_deinit(&diagnostics);
    temp_dir_deinit(&temp_dir);
}

/* Loads PATH. Returns NULL on failure, with the errors in diagnostics. */
static inline struct config *load(const char *path)
{
    const struct config_options options = {.path = path};
    struct config *config = NULL;

    int r = config_load(&config, &options, &diagnostics);
    cr_assert_eq(r, config ? 0 : -EBADMSG);
    cr_assert_eq(config == NULL, diagnostics.n_errors > 0);
    return config;
}

static inline struct config *load_text(const char *text)
{
    struct config *config = load(temp_dir_write_text(&temp_dir, "greetd.conf", text));
    cr_assert_not_null(config, "%s", diagnostics.n_lines > 0 ? diagnostics.lines[0] : "");
    return config;
}

static inline void expect_greeting(const struct config_listener *listener, const char *bytes,
                                   size_t size)
{
    cr_assert_eq(listener->greeting->size, size, "%s", listener->name);
    cr_expect_eq(memcmp(listener->greeting->bytes, bytes, size), 0, "%s", listener->name);
}
