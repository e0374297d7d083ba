/* SPDX-License-Identifier: MIT */
#pragma once

/* Making up greetings with variables. */

#include <stddef.h>
#include <stdint.h>

#include "greetd/greeting/greeting.h"
#include "greetd/greeting/variable.h"
#include "greetd/net/peer.h"

/* Where greetings are made up: of one thread, one greeting at a time, and used again for the next.
 * It grows as it has to and never shrinks, so that memory is asked for only by the first of the
 * longest greetings so far. */
struct render {
    char *bytes; /* owned */
    size_t size, capacity;
};

void render_deinit(struct render *render);

/* Renders GREETING for CLIENT; the result is in RENDER until the next call. Errors: -ENOMEM; -EFBIG
 * for more than UINT32_MAX bytes. */
int render_greeting(struct render *render, const struct greeting *greeting,
                    const struct variable_client *client);
