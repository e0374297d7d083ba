/* SPDX-License-Identifier: MIT */
#include "greet/progress.h"

#include <inttypes.h>

#include "greet/output.h"
#include "greetd/base/clock.h"

#define PERIOD_USEC   1000000
#define PATIENCE_USEC 1000
#define CLEAR_TO_END  "\033[K" /* ECMA-48, Erase in Line */

struct progress progress_begin(FILE *terminal, uint64_t total)
{
    uint64_t now = clock_now();

    return (struct progress){
        .terminal = terminal,
        .begun_usec = now,
        .due_usec = terminal ? now + PERIOD_USEC : USEC_INFINITY,
        .total = total,
    };
}

void progress_print(struct progress *progress, uint64_t finished, uint64_t lost, uint32_t open)
{
    uint64_t now;

    if (!progress->terminal)
        return;
    now = clock_now();
    if (now < progress->due_usec)
        return;
    progress->due_usec = now + PERIOD_USEC;
    /* A terminal that takes no more must not hold up the run. */
    output_limit(PATIENCE_USEC);
    fprintf(progress->terminal,
            "\r%" PRIu64 " of %" PRIu64 " connections, %" PRIu64 " not ok, %" PRIu32
            " open, %.0f per second" CLEAR_TO_END,
            finished, progress->total, lost, open,
            (double)finished * 1e6 / (double)(now - progress->begun_usec));
    fflush(progress->terminal);
    output_limit(USEC_INFINITY);
}

void progress_end(struct progress *progress)
{
    if (!progress->terminal)
        return;
    output_limit(PATIENCE_USEC);
    fputs("\r" CLEAR_TO_END, progress->terminal);
    output_limit(USEC_INFINITY);
}
