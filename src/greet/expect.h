/* SPDX-License-Identifier: MIT */
#pragma once

/* The greeting that a server should send, and where what it does send departs from it. */

#include <stdbool.h>
#include <stddef.h>

#include "greetd/greeting/greeting.h"

/* Compares a stream of bytes, piece by piece. */
struct expect {
    const struct greeting *greeting; /* borrowed */
    size_t matched;                  /* bytes of it that have come, before any that is wrong */
    bool wrong;                      /* another byte came, or one too many */
    unsigned char got;               /* that byte */
};

/* Compares the next SIZE bytes. Returns whether they are right, and all before them. */
bool expect_bytes(struct expect *expect, const char *bytes, size_t size);

/* Room for what expect_explain() writes, with its '\0'. */
#define EXPECT_TEXT_MAX 96

/* After the end of stream: whether the greeting was the right one. If not, BUFFER (EXPECT_TEXT_MAX
 * bytes) says at which byte it differs, the first being byte 1 as in cmp(1). */
bool expect_explain(const struct expect *expect, char *buffer);
