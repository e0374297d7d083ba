/* SPDX-License-Identifier: MIT */
#pragma once

/* Starts threads with a stack of a stated size. */

#include <pthread.h>

/* Bytes. The deepest calls of a worker need 19 KiB (tests/check-stack), and those of libraries a
 * few more (tests/integration/test_stack.py). Without a size, a stack is as large as RLIMIT_STACK:
 * 8 MiB for each of up to 256 workers, which counts where the kernel does not overcommit. */
#define THREAD_STACK_SIZE (256UL * 1024)

/* Returns 0 or a negative errno of pthread_create(3). */
static inline int thread_start(pthread_t *ret, void *(*thread_main)(void *userdata), void *userdata)
{
    pthread_attr_t attributes;
    int r = pthread_attr_init(&attributes);

    if (r != 0)
        return -r;
    r = pthread_attr_setstacksize(&attributes, THREAD_STACK_SIZE);
    if (r == 0)
        r = pthread_create(ret, &attributes, thread_main, userdata);
    pthread_attr_destroy(&attributes);
    return -r;
}
