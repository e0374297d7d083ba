/* SPDX-License-Identifier: MIT */

/* For builds with ThreadSanitizer only. BoxFort, which runs each Criterion test in a process of its
 * own, maps what it shares with them at an address that it draws with rand_r(3), nearly always one
 * that ThreadSanitizer keeps for itself and refuses. This rand_r() draws from what both accept: on
 * x86-64 the 64 GB below 0x568000000000, which is beyond where position-independent programs are
 * loaded. */

#include <stdlib.h>

/* BoxFort's address is this, and 16 MB for each step. */
#define BASE ((unsigned long long)0x200000000000)
#define STEP ((unsigned long long)0x1000000)

#define FIRST ((unsigned long long)0x567000000000)
#define N     0x1000

int rand_r(unsigned *seed)
{
    *seed = *seed * 1103515245 + 12345;
    return (int)((FIRST - BASE) / STEP + (*seed >> 16) % N);
}
