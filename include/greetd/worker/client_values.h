/* SPDX-License-Identifier: MIT */
#pragma once

/* What greetings and the log need to know of a client and its socket. A system call is made only if
 * a variable, or the log, needs its result. Only for the thread of the worker. */

#include <stdint.h>

#include "greetd/greeting/variable.h"
#include "greetd/worker/context.h"
#include "greetd/worker/generation.h"

/* Returns the values for GREETING, for the client PEER with this NUMBER, connected as FD. They are
 * borrowed from the arguments, and valid until the next call with the same CONTEXT. */
struct variable_client client_values(const struct worker_greeting *greeting, int fd,
                                     const struct peer *peer, uint64_t number,
                                     struct worker_context *context);

/* Returns the smoothed round-trip time of a client of GREETING in microseconds for its log entry,
 * or 0 if it is not known or not to be logged. */
uint32_t client_values_logged_rtt_usec(const struct worker_greeting *greeting, int fd);
