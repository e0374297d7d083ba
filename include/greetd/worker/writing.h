/* SPDX-License-Identifier: MIT */
#pragma once

/* Gives the kernel the greeting of one client, as far as it takes it without waiting, and then the
 * end of stream. A part of conn; only for the thread of the worker. */

#include <stdint.h>

#include "greetd/worker/conn_state.h"
#include "greetd/worker/context.h"

/* Continues with a client in CONN_WRITING. Returns what to wait for; the state is CONN_GREETED once
 * the kernel has everything. */
enum conn_next writing_step(struct conn *conn, uint64_t now_usec, struct worker_context *context);

/* Frees the unsent part of a greeting that was rendered for this client, if there is one. */
void writing_free_unsent(struct conn *conn);
