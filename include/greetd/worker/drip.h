/* SPDX-License-Identifier: MIT */
#pragma once

/* Sends the greeting of one client line by line, with a pause of DripSec= before each line. A line
 * ends with '\n' or with the greeting. With DripRepeat=yes a pass over all lines follows another
 * until the client goes, or the count of its bytes would overflow.
 *
 * While the client waits, it costs its place in the table and a greeting with variables its text,
 * which is rendered once. A worker that stops sends the rest of the pass without pauses. A part of
 * conn; only for the thread of the worker. */

#include <stdint.h>

#include "greetd/worker/conn_state.h"
#include "greetd/worker/context.h"

/* Begins with a client that conn_drips() in CONN_WRITING. Returns CONN_WAIT_DRIP; or as drip_step()
 * if the greeting is empty or the worker stops. */
enum conn_next drip_begin(struct conn *conn, uint64_t now_usec, struct worker_context *context);

/* Sends the next line of a greeting that is not empty, or continues with a line of which the kernel
 * has not taken all. Returns what to wait for; the state is CONN_GREETED once the kernel has
 * everything. */
enum conn_next drip_step(struct conn *conn, uint64_t now_usec, struct worker_context *context);

/* When the next line to a client of the listener is due; at once if the worker stops. */
uint64_t drip_deadline(const struct worker_listener *wl, const struct worker_context *context);

/* When to wake up for the lines that are due, so that many are sent together. */
uint64_t drip_wake_up(const struct worker_listener *wl, const struct worker_context *context);
