/* SPDX-License-Identifier: MIT */
#pragma once

/* Gives the kernel the greeting of one client, as far as it takes it without waiting, and then the
 * end of stream. A part of conn; only for the thread of the worker. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "greetd/greeting/variable.h"
#include "greetd/worker/conn_state.h"
#include "greetd/worker/context.h"

/* Continues with a client in CONN_WRITING. Returns what to wait for; the state is CONN_GREETED once
 * the kernel has everything. */
enum conn_next writing_step(struct conn *conn, uint64_t now_usec, struct worker_context *context);

/* Gives the kernel those of BYTES that it has not taken yet. BYTES are those of the greeting from
 * BEGIN to END. If IS_LAST, the end of stream follows, and this returns as writing_step(); else it
 * returns CONN_WAIT_DRIP once the kernel has all of them. */
enum conn_next writing_part(struct conn *conn, const char *bytes, size_t begin, size_t end,
                            bool is_last, uint64_t now_usec, struct worker_context *context);

/* Renders the greeting, which has variables, and keeps all of it as the unsent part. Returns 0, or
 * a negative errno as render_greeting(). */
int writing_render(struct conn *conn, struct worker_context *context);

/* Frees the unsent part of a greeting that was rendered for this client, if there is one. */
void writing_free_unsent(struct conn *conn);

/* Returns the values of the variables of GREETING for the client PEER with this NUMBER, connected
 * as FD. A system call is made only if a variable needs its result. They are borrowed from the
 * arguments, and valid until the next call with the same CONTEXT. */
struct variable_client writing_values(const struct worker_greeting *greeting, int fd,
                                      const struct peer *peer, uint64_t number,
                                      struct worker_context *context);
