/* SPDX-License-Identifier: MIT */
#pragma once

/* Waits for the TCP handshakes at sockets that are about to be closed. A client is connected as
 * soon as it has the answer to its SYN, while the server has it in no queue before its ACK arrives;
 * if the socket is closed in between, the client is reset. Everything is borrowed but the timer;
 * only for the main thread. */

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

/* Whether a handshake is under way at any of the sockets of BEFORE that AFTER (NULL: none) does not
 * have, and that is not handed on to another process. What can't be found out is taken to be under
 * way. */
bool handshake_pending(const struct snapshot *before, const struct snapshot *after);

/* Prepares to wait in EVENT. handshake_deinit() is due in any case. Returns 0 or a negative errno
 * of the event loop. */
int handshake_start(struct handshake *handshake, sd_event *event);
void handshake_deinit(struct handshake *handshake);

/* Calls OVER with USERDATA as soon as no handshake is pending, as above, at once if that is so now;
 * after a second in any case. The sockets must take no new handshakes any more. */
void handshake_await(struct handshake *handshake, const struct snapshot *before,
                     const struct snapshot *after, void (*over)(void *userdata), void *userdata);
