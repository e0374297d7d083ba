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
    struct variable_text metrics; /* what $metrics stands for; borrowed */
};

void render_deinit(struct render *render);

/* Makes up GREETING for PEER, whose connection has NUMBER; the result is in RENDERING until the
 * next time. Errors: -ENOMEM; -EFBIG for more than UINT32_MAX bytes. */
int render_greeting(struct render *render, const struct greeting *greeting, const struct peer *peer,
                    uint64_t number);
