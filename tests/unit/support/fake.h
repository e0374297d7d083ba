/* SPDX-License-Identifier: MIT */
#pragma once

/* Marks a function that a test has in place of that of the C library. Only the program itself calls
 * it, no shared library: Criterion's have threads of their own, which may not hang or fail. */
#define FAKE __attribute__((visibility("hidden")))
