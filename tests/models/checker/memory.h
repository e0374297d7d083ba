/* SPDX-License-Identifier: MIT */
#pragma once

/* The memory model: C11 with relaxed, release and acquire accesses and fences, as the machine of
 * views of Kang et al., "A Promising Semantics for Relaxed-Memory Concurrency" (POPL 2017), without
 * promises.
 *
 * Each atomic object has a history of messages in its modification order, and each thread a view:
 * the oldest message of each object that it may still read. A load may read any message that is not
 * older, and a store goes behind any such message, even before one that another thread has stored.
 * A release message carries the view of its thread, and an acquire load joins it. A fence with
 * seq_cst joins a view that all such fences share. An access with seq_cst counts only as release
 * and acquire, and a release sequence only has read-modify-writes, as in C20. Both allow more than
 * C17 does, so what holds here holds there.
 *
 * While the clock goes on, which it does when all threads wait, all stores become visible (7.17.3
 * of C17: "within a reasonable amount of time").
 *
 * The model leaves out that a load reads from a store that comes later in each order of execution
 * (load buffering).
 *
 * Accesses to ordinary memory are checked: two of them, of which one writes, race unless one
 * happens before the other. Only for the heap (heap.h), where all that threads share is. */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MEMORY_THREADS   4
#define MEMORY_LOCATIONS 64

struct view {
    uint32_t seen[MEMORY_LOCATIONS]; /* the time of the oldest message that may be read */
    uint32_t clock[MEMORY_THREADS];  /* what of each thread happens before */
};

/* What a read-modify-write makes of VALUE. */
typedef uint64_t memory_update(uint64_t value, uint64_t operand);

/* Forgets all objects and begins with one thread. */
void memory_reset(void);

/* THREAD begins; PARENT's accesses so far happen before. */
void memory_start_thread(unsigned thread, unsigned parent);

/* All that ENDED has done happens before what THREAD does next. */
void memory_join_thread(unsigned thread, unsigned ended);

/* Joins VIEW into that of THREAD, and the view of THREAD into VIEW: what a lock of the kernel does.
 */
void memory_synchronise(unsigned thread, struct view *view);

/* The number of the object of SIZE bytes at ADDRESS. */
unsigned memory_location(const volatile void *address, size_t size);

uint64_t memory_load(unsigned thread, unsigned location, memory_order order);
void memory_store(unsigned thread, unsigned location, uint64_t value, memory_order order);
/* Whether the store would repeat the newest message, so that no load can tell the difference. */
bool memory_repeats(unsigned thread, unsigned location, uint64_t value, memory_order order);
/* Returns the value before. */
uint64_t memory_modify(unsigned thread, unsigned location, memory_update *update, uint64_t operand,
                       memory_order order);
/* Stores DESIRED if the value read is *EXPECTED; else stores that there. FAILED is the order then.
 */
bool memory_compare_exchange(unsigned thread, unsigned location, uint64_t *expected,
                             uint64_t desired, memory_order order, memory_order failed);
void memory_fence(unsigned thread, memory_order order);

/* Time has passed: all threads can only read the newest messages, though these order nothing. */
void memory_settle(void);

/* Checks an access of THREAD to SIZE bytes for races; ATOMIC ones do not race with each other. */
void memory_check(unsigned thread, const volatile void *address, size_t size, bool write,
                  bool atomic);

/* THREAD frees BLOCK of the heap: nothing may use it any more. */
void memory_free(unsigned thread, const void *block);
