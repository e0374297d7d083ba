/* SPDX-License-Identifier: MIT */
#pragma once

/* The mode --reconcile: reads receipts and the journal, joins them and prints the report. Only the
 * main thread runs it. */

#include <stdbool.h>

#include "client/exchange.h"

/* Compares the receipts in the file at PATH with the journal entries on standard input, and prints
 * the report to standard output, as JSON or for people. Prints each error; EXIT_STATUS_UNABLE for
 * input that can't be read. */
enum exit_status reconcile_run(const char *path, bool json);
