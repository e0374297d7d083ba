/* SPDX-License-Identifier: MIT */
#pragma once

/* The wait for TCP handshakes at sockets that are about to be closed. A client is connected as soon
 * as it has the answer to its SYN, but the server has it in no queue before its ACK arrives.
 * Closing the socket in between resets the client. All is borrowed but the timer; only for the main
 * thread. */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "greetd/listen/snapshot.h"

struct handshake {
    sd_event_source *timer;        /* owned */
    const struct snapshot *before; /* while waiting */
    const struct snapshot *after;  /* as well */
    uint64_t deadline_usec;
    void (*over)(void *userdata);
    void *userdata;
};

/* Whether a handshake is under way at a socket of BEFORE that AFTER (NULL: none) does not have, and
 * that no other process takes over. True if that can't be found out. */
bool handshake_pending(const struct snapshot *before, const struct snapshot *after);

/* Adds a timer to EVENT. handshake_deinit() is due in any case. Returns 0 or a negative errno of
 * the event loop. */
int handshake_start(struct handshake *handshake, sd_event *event);
void handshake_deinit(struct handshake *handshake);

/* Calls OVER with USERDATA when no handshake is pending as above, or after a second; maybe before
 * it returns. The sockets must drop every SYN already. */
void handshake_await(struct handshake *handshake, const struct snapshot *before,
                     const struct snapshot *after, void (*over)(void *userdata), void *userdata);
