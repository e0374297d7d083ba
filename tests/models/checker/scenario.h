/* SPDX-License-Identifier: MIT */
#pragma once

/* A scenario is a small program, of a few threads, that uses a part of greetd, and states what must
 * hold. Its first thread may start others with pthread_create(3). All that they share is allocated.
 */

#include <stdbool.h>

struct scenario {
    const char *name;
    void (*run)(void);
    unsigned long outcomes; /* those that observe() must see, as bits; 0: it is not called */
};

/* Those of one program; the last one has no name. */
extern const struct scenario scenarios[];

/* Returns when all other threads wait: what comes before is tried in another scenario. */
void settle(void);

/* Ends the execution, whatever the other threads would still do. */
_Noreturn void finish(void);

/* Notes an outcome (below 64) of an execution. */
void observe(unsigned outcome);

/* The sizes of a scenario: of the short run, and of the long one. */
#ifdef LONG
#define SHORT_OR_LONG(few, many) (many)
#else
#define SHORT_OR_LONG(few, many) (few)
#endif

/* HOLDS must be true in each execution; DEFECT says what it is if not. */
void expect(bool holds, const char *defect);
