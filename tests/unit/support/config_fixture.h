/* SPDX-License-Identifier: MIT */
#pragma once

/* Configurations loaded from a file of the test's own, for the tests of what is loaded and of what
 * is shown of it. */

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "greetd/config/config.h"
#include "support/temp_dir.h"

static struct scratch scratch;
static struct report report;

static inline void set_up(void)
{
    scratch_init(&scratch);
    report = REPORT_NULL;
}

static inline void tear_down(void)
{
    report_deinit(&report);
    scratch_deinit(&scratch);
}

/* Loads PATH; if that fails, its mistakes are in the report. */
static inline struct config *load(const char *path)
{
    const struct config_options options = {.path = path};
    struct config *config = NULL;

    int r = config_load(&config, &options, &report);
    cr_assert_eq(r, config ? 0 : -EBADMSG);
    cr_assert_eq(config == NULL, report.n_mistakes > 0);
    return config;
}

static inline struct config *load_text(const char *text)
{
    struct config *config = load(scratch_write_text(&scratch, "greetd.conf", text));
    cr_assert_not_null(config, "%s", report.n_lines > 0 ? report.lines[0] : "");
    return config;
}

static inline void expect_greeting(const struct config_listener *listener, const char *bytes,
                                   size_t size)
{
    cr_assert_eq(listener->greeting->size, size, "%s", listener->name);
    cr_expect_eq(memcmp(listener->greeting->bytes, bytes, size), 0, "%s", listener->name);
}
