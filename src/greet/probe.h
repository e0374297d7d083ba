/* SPDX-License-Identifier: MIT */
#pragma once

/* One connection: a client for a person, a probe for monitoring. */

#include "greet/arguments.h"
#include "greet/outcome.h"
#include "greet/resolve.h"
#include "greetd/greeting/greeting.h"

/* Connects, copies the greeting to stdout unless that is to be quiet, and compares it with EXPECTED
 * unless that is NULL. What goes wrong is said on stderr. */
enum exit_status probe_run(const struct arguments *arguments, const struct resolve_list *list,
                           const struct greeting *expected);
