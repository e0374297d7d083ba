/* SPDX-License-Identifier: MIT */
#include "explore.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>

#include "heap.h"
#include "kernel.h"
#include "memory.h"
#include "sharing.h"

#define STACK_SIZE  ((size_t)128 * 1024)
#define CHOICES_MAX 4096
#define STEPS_MAX   4000
#define START_USEC  UINT64_C(1000000000)

struct thread {
    void *(*run)(void *);
    void *argument;
    bool begun, ended;
    struct step step; /* that it makes next */
    ucontext_t start;
    jmp_buf resume;
    _Alignas(64) char stack[STACK_SIZE];
};

/* One decision of the execution: TAKEN of N. */
struct choice {
    unsigned taken, n;
};

enum ending { RUNNING, COMPLETE, REDUNDANT, DEFECT, AGAIN };

/* Neither the hooks nor makecontext(3) have an argument for it. */
static struct {
    struct choice choices[CHOICES_MAX];
    unsigned n_choices, depth;
    struct thread threads[MEMORY_THREADS];
    unsigned n_threads, current;
    unsigned asleep; /* threads whose next step was tried before, as bits */
    unsigned n_steps;
    uint64_t now_usec;
    bool trace;
    void (*scenario)(void);
    jmp_buf end;
    struct explored result;
} explorer;

unsigned explore_thread(void)
{
    return explorer.current;
}

uint64_t explore_now(void)
{
    return explorer.now_usec;
}

static _Noreturn void end_execution(enum ending ending)
{
    _longjmp(explorer.end, (int)ending);
}

void explore_finish(void)
{
    end_execution(COMPLETE);
}

void explore_fail(const char *defect)
{
    explorer.result.defect = defect;
    end_execution(DEFECT);
}

void explore_give_up(const char *limit)
{
    fprintf(stderr, "The checker gives up: %s\n", limit);
    exit(2);
}

void explore_trace(const char *what, uint64_t value)
{
    if (explorer.trace)
        printf("    thread %u %s %" PRIu64 "\n", explorer.current, what, value);
}

unsigned explore_choose(unsigned n)
{
    if (n <= 1)
        return 0;
    if (explorer.depth == CHOICES_MAX)
        explore_give_up("too many choices");
    if (explorer.depth == explorer.n_choices)
        explorer.choices[explorer.n_choices++] = (struct choice){.n = n};
    return explorer.choices[explorer.depth++].taken;
}

/* Makes the next combination of choices. Returns false if there is none. */
static bool advance(void)
{
    while (explorer.n_choices > 0) {
        struct choice *last = &explorer.choices[explorer.n_choices - 1];

        if (++last->taken < last->n)
            return true;
        explorer.n_choices--;
    }
    return false;
}

static bool is_memory(const struct step *step)
{
    return step->kind == STEP_LOAD || step->kind == STEP_STORE || step->kind == STEP_MODIFY;
}

/* Whether a load after the store MADE can tell that it was made. */
static bool tells(unsigned thread, const struct step *made)
{
    return made->kind != STEP_STORE ||
           !memory_repeats(thread, made->where, made->value, made->order);
}

/* Whether SLEEPING has to be tried again after THREAD has made MADE. Not a store or a
 * read-modify-write after a load: if it comes first, the load can read the same messages. */
static bool wakes(unsigned thread, const struct step *made, const struct step *sleeping)
{
    if (is_memory(made) && is_memory(sleeping))
        return made->where == sleeping->where && made->kind != STEP_LOAD &&
               (sleeping->kind != STEP_LOAD || tells(thread, made));
    if (made->kind != sleeping->kind)
        return false;
    return made->kind == STEP_FENCE || (made->descriptors & sleeping->descriptors) != 0;
}

static bool is_due(const struct step *step)
{
    return !step->is_ready || step->is_ready(step->where) ||
           step->deadline_usec <= explorer.now_usec;
}

static bool is_waiting(unsigned thread)
{
    return !explorer.threads[thread].ended && !is_due(&explorer.threads[thread].step);
}

/* Lets the time go on until the first deadline. */
static void await_deadline(void)
{
    uint64_t first = UINT64_MAX;

    for (unsigned i = 0; i < explorer.n_threads; i++)
        if (is_waiting(i) && explorer.threads[i].step.deadline_usec < first)
            first = explorer.threads[i].step.deadline_usec;
    if (first == UINT64_MAX)
        explore_fail("all threads wait");
    explorer.now_usec = first;
    memory_settle();
    explorer.asleep = 0;
}

static bool any(bool (*is)(const struct thread *))
{
    for (unsigned i = 0; i < explorer.n_threads; i++)
        if (is(&explorer.threads[i]))
            return true;
    return false;
}

static bool is_alive(const struct thread *thread)
{
    return !thread->ended;
}

static bool can_run(const struct thread *thread)
{
    return !thread->ended && is_due(&thread->step);
}

/* Puts into CANDIDATES the threads that can make a step of a kind that is, or is not, a load. */
static unsigned collect(unsigned *candidates, unsigned n, bool loads)
{
    for (unsigned i = 0; i < explorer.n_threads; i++)
        if (can_run(&explorer.threads[i]) && !(explorer.asleep >> i & 1) &&
            (explorer.threads[i].step.kind == STEP_LOAD) == loads)
            candidates[n++] = i;
    return n;
}

static unsigned choose_thread(void)
{
    unsigned candidates[MEMORY_THREADS], n = collect(candidates, 0, false);

    for (unsigned i = 0; i < n; i++)
        if (explorer.threads[candidates[i]].step.kind == STEP_LOCAL)
            return candidates[i];
    n = collect(candidates, n, true);
    if (n == 0)
        end_execution(REDUNDANT);

    unsigned index = explore_choose(n), thread = candidates[index];
    for (unsigned i = 0; i < index; i++)
        explorer.asleep |= 1U << candidates[i];
    for (unsigned i = 0; i < explorer.n_threads; i++)
        if (wakes(thread, &explorer.threads[thread].step, &explorer.threads[i].step))
            explorer.asleep &= ~(1U << i);
    return thread;
}

static void thread_main(void);

static void switch_to(unsigned index)
{
    struct thread *thread = &explorer.threads[index];

    explorer.current = index;
    if (thread->begun)
        _longjmp(thread->resume, 1);
    thread->begun = true;
    getcontext(&thread->start);
    thread->start.uc_stack.ss_sp = thread->stack;
    thread->start.uc_stack.ss_size = sizeof(thread->stack);
    thread->start.uc_link = NULL;
    makecontext(&thread->start, thread_main, 0);
    setcontext(&thread->start);
    abort();
}

static void count_step(void)
{
    if (explorer.n_steps++ == STEPS_MAX)
        explore_fail("no end");
}

static void run_next(void)
{
    if (!any(is_alive))
        end_execution(COMPLETE);
    if (!any(can_run))
        await_deadline();
    count_step();
    switch_to(choose_thread());
}

void explore_step(struct step step)
{
    struct thread *thread = &explorer.threads[explorer.current];

    thread->step = step;
    if (_setjmp(thread->resume) == 0)
        run_next();
}

void explore_access(struct step step, const volatile void *address)
{
    bool writes = step.kind != STEP_LOAD;
    unsigned thread = explorer.current;

    if (explorer.n_threads > 1 && !sharing_note(address, thread, writes))
        end_execution(AGAIN);
    if (sharing_conflicts(address, thread, writes))
        explore_step(step);
    else
        count_step();
}

static void thread_main(void)
{
    struct thread *thread = &explorer.threads[explorer.current];

    (void)thread->run(thread->argument);
    thread->ended = true;
    run_next();
}

unsigned explore_start(void *(*run)(void *), void *argument)
{
    unsigned index = explorer.n_threads++;
    struct thread *thread = &explorer.threads[index];

    if (index == MEMORY_THREADS)
        explore_give_up("too many threads");
    thread->run = run;
    thread->argument = argument;
    thread->begun = thread->ended = false;
    thread->step = (struct step){.kind = STEP_LOCAL};
    if (index > 0)
        memory_start_thread(index, explorer.current);
    return index;
}

static bool has_ended(unsigned thread)
{
    return explorer.threads[thread].ended;
}

void explore_join(unsigned thread)
{
    explore_step((struct step){
        .kind = STEP_LOCAL, .where = thread, .is_ready = has_ended, .deadline_usec = UINT64_MAX});
    memory_join_thread(explorer.current, thread);
}

static bool others_wait(unsigned thread)
{
    for (unsigned i = 0; i < explorer.n_threads; i++)
        if (i != thread && can_run(&explorer.threads[i]))
            return false;
    return true;
}

void explore_settle(void)
{
    explore_step((struct step){.kind = STEP_LOCAL,
                               .where = explorer.current,
                               .is_ready = others_wait,
                               .deadline_usec = UINT64_MAX});
}

static void *run_scenario(void *argument)
{
    (void)argument;
    explorer.scenario();
    return NULL;
}

static enum ending execute(void)
{
    enum ending ending = (enum ending)_setjmp(explorer.end);

    if (ending != RUNNING)
        return ending;
    explorer.depth = explorer.n_steps = explorer.n_threads = explorer.asleep = 0;
    explorer.now_usec = START_USEC;
    heap_reset();
    kernel_reset();
    memory_reset();
    switch_to(explore_start(run_scenario, NULL));
    return RUNNING;
}

static void count(enum ending ending)
{
    explorer.result.steps += explorer.n_steps;
    explorer.result.executions += ending != REDUNDANT;
    explorer.result.redundant += ending == REDUNDANT;
}

/* What the result of one execution means for the others. Returns whether there is another one. */
static bool go_on(enum ending ending)
{
    if (ending == AGAIN) {
        explorer.result = (struct explored){0};
        explorer.n_choices = 0;
        return true;
    }
    count(ending);
    return ending != DEFECT && advance();
}

struct explored explore(void (*run)(void), uint64_t max_executions, bool trace)
{
    explorer.scenario = run;
    while (go_on(execute()))
        if (explorer.result.executions == max_executions)
            explore_give_up("too many executions");

    if (explorer.result.defect && trace) {
        explorer.trace = true;
        (void)execute();
    }
    return explorer.result;
}
