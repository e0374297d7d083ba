/* SPDX-License-Identifier: MIT */
#pragma once

/* Which atomic objects threads really share. A step that no other thread can notice needs no other
 * order. The explorer learns as it goes, and begins again when it has learned something. */

#include <stdbool.h>

/* Notes that THREAD, not the only one, loads or stores (WRITES) at ADDRESS. Returns whether that
 * was known. */
bool sharing_note(const volatile void *address, unsigned thread, bool writes);

/* Whether another thread stores there, or if WRITES also loads there. */
bool sharing_conflicts(const volatile void *address, unsigned thread, bool writes);
