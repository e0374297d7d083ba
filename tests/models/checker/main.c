/* SPDX-License-Identifier: MIT */

/* PROGRAM                                        prints the names of the scenarios
 * PROGRAM SCENARIO [--trace] [ADDRESS ORDER]...  explores one, with other orders at these sites
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "explore.h"
#include "hooks.h"
#include "scenario.h"

#define EXECUTIONS_MAX 100000000

void expect(bool holds, const char *defect)
{
    if (!holds)
        explore_fail(defect);
}

void settle(void)
{
    explore_settle();
}

void finish(void)
{
    explore_finish();
}

/* A scenario has no argument for it. */
static struct {
    unsigned long outcomes;
} observed;

void observe(unsigned outcome)
{
    observed.outcomes |= 1UL << outcome;
}

static const struct scenario *find(const char *name)
{
    for (const struct scenario *scenario = scenarios; scenario->name; scenario++)
        if (!name)
            puts(scenario->name);
        else if (strcmp(scenario->name, name) == 0)
            return scenario;
    return NULL;
}

int main(int argc, char **argv)
{
    const struct scenario *scenario = find(argv[1]);
    bool trace = argc > 2 && strcmp(argv[2], "--trace") == 0;

    if (!scenario)
        return argc > 1;
    for (int i = 2 + trace; i + 1 < argc; i += 2)
        hooks_weaken(strtoul(argv[i], NULL, 16), (memory_order)atoi(argv[i + 1]));

    struct explored explored = explore(scenario->run, EXECUTIONS_MAX, trace);
    if (!explored.defect && observed.outcomes != scenario->outcomes)
        explored.defect = "other outcomes than the model has";
    hooks_print_sites();
    printf("executions %" PRIu64 "\nredundant %" PRIu64 "\nsteps %" PRIu64 "\ndefect %s\n",
           explored.executions, explored.redundant, explored.steps,
           explored.defect ? explored.defect : "none");
    return 0;
}
