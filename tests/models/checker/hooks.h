/* SPDX-License-Identifier: MIT */
#pragma once

/* The sites: places in the program with an atomic access or a fence, by the address after the call
 * of their hook. */

#include <stdatomic.h>
#include <stdint.h>

/* Gives the site at ADDRESS another order; memory_order_relaxed takes a fence out. */
void hooks_weaken(uintptr_t address, memory_order order);

/* Prints a line for each site that was reached, as `site ADDRESS KIND ORDER`. */
void hooks_print_sites(void);
