/* SPDX-License-Identifier: MIT */
#pragma once

/* The sections of a configuration that a test fills, and its errors. */

#include <criterion/criterion.h>

#include "greetd/config/sections.h"

static struct sections sections;
static struct diagnostics diagnostics;

static inline void set_up(void)
{
    diagnostics = DIAGNOSTICS_NULL;
    cr_assert_eq(sections_init(&sections), 0);
}

static inline void tear_down(void)
{
    sections_deinit(&sections);
    diagnostics_deinit(&diagnostics);
}
