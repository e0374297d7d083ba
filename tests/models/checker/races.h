/* SPDX-License-Identifier: MIT */
#pragma once

/* Finds data races and uses of freed memory, in the heap. CLOCK is what happens before the access:
 * the times of the clocks of all threads. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Forgets all accesses. */
void races_reset(void);

/* THREAD accesses SIZE bytes at ADDRESS; ATOMIC accesses do not race with each other. */
void races_check(unsigned thread, const uint32_t *clock, const volatile void *address, size_t size,
                 bool write, bool atomic);

/* THREAD frees BLOCK. */
void races_free(unsigned thread, const uint32_t *clock, const void *block);
