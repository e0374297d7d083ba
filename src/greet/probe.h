/* SPDX-License-Identifier: MIT */
#pragma once

/* The default mode: one connection, for a person or for monitoring. It borrows all arguments; only
 * the main thread runs it. */

#include "greet/arguments.h"
#include "greet/exchange.h"
#include "greet/resolve.h"
#include "greetd/greeting/greeting.h"

/* Connects, copies the greeting to stdout without --quiet, and compares it with EXPECTED unless
 * that is NULL. Prints each error. */
enum exit_status probe_run(const struct arguments *arguments, const struct resolve_list *list,
                           const struct greeting *expected);
