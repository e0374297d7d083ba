/* SPDX-License-Identifier: MIT */
#pragma once

/* A line on a terminal that tells once a second how far a run has come. */

#include <stdint.h>
#include <stdio.h>

struct progress {
    FILE *terminal;      /* borrowed; NULL: nothing is printed */
    uint64_t begun_usec; /* CLOCK_MONOTONIC, as are all times here */
    uint64_t due_usec;   /* when to print next; USEC_INFINITY without a terminal */
    uint64_t total;
};

/* Begins now. TERMINAL may be NULL. */
struct progress progress_begin(FILE *terminal, uint64_t total);

/* Prints the line anew if it is time: so many FINISHED, so many of them LOST, so many OPEN. */
void progress_print(struct progress *progress, uint64_t finished, uint64_t lost, uint32_t open);

/* Wipes the line away. */
void progress_end(struct progress *progress);
