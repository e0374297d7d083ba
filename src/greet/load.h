/* SPDX-License-Identifier: MIT */
#pragma once

/* The load mode: what has to be known before a run, the run, and what is printed of it. */

#include "greet/arguments.h"
#include "greet/outcome.h"
#include "greet/resolve.h"
#include "greetd/greeting/greeting.h"

/* Runs the load generator and prints its results to stdout. EXPECTED is what each connection should
 * receive; if it is NULL, what a first connection receives before the run. That one is also made
 * where LIST has more than one address, to find the one that answers. What goes wrong is said on
 * stderr. */
enum exit_status load_run(const struct arguments *arguments, const struct resolve_list *list,
                          const struct greeting *expected);
