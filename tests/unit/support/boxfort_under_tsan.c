/* SPDX-License-Identifier: MIT */

/* A rand_r(3) for builds with ThreadSanitizer. BoxFort runs each Criterion test in its own process
 * and draws the address of their shared memory with rand_r(3). ThreadSanitizer reserves nearly all
 * of these addresses. This rand_r() draws only addresses that both accept: on x86-64 the 64 GB
 * below 0x568000000000, where no position-independent program is loaded. */

#include <stdlib.h>

/* The address that BoxFort uses is BASE and 16 MB for each step. */
#define BASE ((unsigned long long)0x200000000000)
#define STEP ((unsigned long long)0x1000000)

#define FIRST ((unsigned long long)0x567000000000)
#define N     0x1000

int rand_r(unsigned *seed)
{
    *seed = *seed * 1103515245 + 12345;
    return (int)((FIRST - BASE) / STEP + (*seed >> 16) % N);
}
