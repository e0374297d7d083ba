/* SPDX-License-Identifier: MIT */
#pragma once

/* Runs a scenario again and again, each time with other choices: which thread makes the next step,
 * and which message a load reads. Every combination is tried, but for those that differ only in the
 * order of steps that do not depend on each other (sleep sets: Godefroid, "Partial-Order Methods
 * for the Verification of Concurrent Systems", 1996; sharing.h).
 *
 * A step is one access to an atomic object, one fence with seq_cst or one system call, with all
 * that its thread does until its next one. Threads are coroutines. */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum step_kind {
    STEP_LOCAL,  /* depends on no other */
    STEP_LOAD,   /* WHERE is the location */
    STEP_STORE,  /* as well */
    STEP_MODIFY, /* as well */
    STEP_FENCE,  /* with seq_cst */
    STEP_KERNEL, /* WHERE is a descriptor */
};

struct step {
    enum step_kind kind;
    unsigned where;
    uint64_t value;                   /* of STEP_STORE */
    memory_order order;               /* as well */
    uint64_t descriptors;             /* of STEP_KERNEL: those that it depends on, as bits */
    bool (*is_ready)(unsigned where); /* NULL: it need not wait */
    uint64_t deadline_usec;           /* the end of the wait */
};

/* The thread that runs. */
unsigned explore_thread(void);

/* Starts another one. */
unsigned explore_start(void *(*run)(void *), void *argument);

/* Waits until it has ended. */
void explore_join(unsigned thread);

/* Waits until all other threads wait. */
void explore_settle(void);

/* Lets other threads run; returns when this one may make STEP. */
void explore_step(struct step step);

/* The same for an access to the atomic object at ADDRESS, unless no other thread can notice it. */
void explore_access(struct step step, const volatile void *address);

/* Returns a number below N, a different one in each execution until all were tried. */
unsigned explore_choose(unsigned n);

/* Returns the time, CLOCK_MONOTONIC in microseconds. It goes on only while all threads wait. */
uint64_t explore_now(void);

/* The execution is complete, whatever the other threads would still do. */
_Noreturn void explore_finish(void);

/* The execution has shown DEFECT. */
_Noreturn void explore_fail(const char *defect);

/* The checker itself has a limit that is too low for the scenario. */
_Noreturn void explore_give_up(const char *limit);

/* Prints what the thread does, in the execution that has shown a defect. */
void explore_trace(const char *what, uint64_t value);

/* What was found. */
struct explored {
    uint64_t executions; /* complete ones */
    uint64_t redundant;  /* given up, since they were equal to others */
    uint64_t steps;
    const char *defect; /* NULL: none, in all executions */
};

/* Explores RUN, which is the first thread, until a defect is found. TRACE: prints the steps of the
 * execution with the defect. */
struct explored explore(void (*run)(void), uint64_t max_executions, bool trace);
