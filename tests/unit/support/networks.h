/* SPDX-License-Identifier: MIT */
#pragma once

/* Compiled network lists for tests. */

#include <criterion/criterion.h>

#include "greetd/guard/networks.h"

/* Returns the rules of Allow=ALLOW and Deny=DENY; NULL for no list. */
static inline struct networks *networks_of(const char *allow, const char *deny)
{
    struct network_list allowed = {0}, denied = {0};
    struct diagnostics diagnostics = DIAGNOSTICS_NULL;
    struct file_report report = {.errors = &diagnostics};
    struct networks *networks;

    if (allow)
        cr_assert_eq(network_list_append(&allowed, allow, "test"), 0);
    if (deny)
        cr_assert_eq(network_list_append(&denied, deny, "test"), 0);
    cr_assert_eq(networks_compile(&networks, &allowed, "Allow", &denied, &report), 0);
    cr_assert_eq(diagnostics.n_errors, 0);
    network_list_clear(&allowed);
    network_list_clear(&denied);
    return networks;
}
