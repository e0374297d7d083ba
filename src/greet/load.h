/* SPDX-License-Identifier: MIT */
#pragma once

/* The load mode: prepares a run of the generator, runs it and prints its summary. It borrows all
 * arguments; only the main thread runs it. */

#include "client/exchange.h"
#include "client/resolve.h"
#include "greet/arguments.h"
#include "greetd/greeting/greeting.h"

/* Runs the load generator and prints its summary to stdout. Each connection should receive
 * EXPECTED, or if that is NULL, the greeting of a first connection before the run. The first
 * connection is also made if LIST has several addresses, to find one that answers. Prints each
 * error. */
enum exit_status load_run(const struct arguments *arguments, const struct resolve_list *list,
                          const struct greeting *expected);
