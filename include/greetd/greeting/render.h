/* SPDX-License-Identifier: MIT */
#pragma once

/* Fills in the variables of a greeting for one client. Owns nothing; for any thread with a buffer
 * of its own. */

#include "greetd/base/buffer.h"
#include "greetd/greeting/greeting.h"
#include "greetd/greeting/variable.h"

/* Renders GREETING for CLIENT into BUFFER, in place of what it held. The buffer never shrinks, so
 * that only the longest greeting so far allocates. Errors: -ENOMEM; -EFBIG for more than UINT32_MAX
 * bytes. */
int render_greeting(struct buffer *buffer, const struct greeting *greeting,
                    const struct variable_client *client);
