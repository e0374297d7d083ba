/* SPDX-License-Identifier: MIT */
#pragma once

/* What a client says and hears on a non-blocking socket that dial() has made, one step at a time
 * and compared as it comes. */

#include <stddef.h>

#include "greet/outcome.h"
#include "greetd/greeting/greeting.h"

/* The same for all. */
struct exchange_plan {
    const struct greeting *greeting; /* borrowed: what should be received */
    size_t send_size;                /* so many zeros are sent before anything is read */
};

struct exchange {
    int fd; /* owned by the caller */
    size_t sent, received;
};

/* What exchange_step() needs to read into. */
#define EXCHANGE_BUFFER_SIZE ((size_t)64 * 1024)

/* In place of an outcome: the socket has to become readable, or writable while something is left to
 * be sent. */
#define EXCHANGE_PENDING OUTCOMES

/* Sends and reads until it would block. Returns EXCHANGE_PENDING or what became of it; the socket
 * is then to be closed, at once or later. */
enum outcome exchange_step(struct exchange *exchange, const struct exchange_plan *plan,
                           char *buffer);
