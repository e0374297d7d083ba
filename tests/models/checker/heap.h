/* SPDX-License-Identifier: MIT */
#pragma once

/* The heap of a scenario: the same addresses in every execution, and no address twice in one, so
 * that what is used after it was freed is found. */

#include <stddef.h>

#define HEAP_SIZE ((size_t)64 * 1024)

/* Frees everything. */
void heap_reset(void);

/* How much has been used since heap_reset(). */
size_t heap_used(void);

/* Returns SIZE bytes of zeroes. */
void *heap_allocate(size_t size, size_t alignment);

/* Returns the size of a block. */
size_t heap_size(const void *block);

/* Returns where ADDRESS is in the heap; HEAP_SIZE if it is not there. */
size_t heap_offset(const volatile void *address);
