/* SPDX-License-Identifier: MIT */
#pragma once

/* The default mode: one connection, for a person or for monitoring. It borrows all arguments; only
 * the main thread runs it. */

#include "client/exchange.h"
#include "client/resolve.h"
#include "greet/arguments.h"
#include "greetd/config/config.h"
#include "greetd/greeting/greeting.h"

/* One of both, or neither if any greeting is right. */
struct probe_expected {
    const struct greeting *greeting;        /* these bytes */
    const struct config_listener *listener; /* with its variables, and its file as it is now */
};

/* Connects, copies the greeting to stdout without --quiet, and compares it with EXPECTED. Prints
 * each error. */
enum exit_status probe_run(const struct arguments *arguments, const struct resolve_list *list,
                           const struct probe_expected *expected);
