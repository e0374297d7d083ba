/* SPDX-License-Identifier: MIT */
#pragma once

/* Takes the place of malloc(3) and its like, to count the calls and to refuse one of them. For one
 * source of a program that is not built with a sanitizer, which does the same. */

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#ifndef __has_feature
#define __has_feature(feature) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) ||                               \
    __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define CAN_INTERPOSE false
#else
#define CAN_INTERPOSE true
#endif

static struct {
    atomic_bool on;       /* calls are counted */
    atomic_uint fail_nth; /* this one is refused, from 1; 0 for none */
    atomic_uint n;        /* calls for memory */
    atomic_uint n_others; /* those of other threads than the test's */
    atomic_int balance;   /* pieces of memory got and not given back */
} counted;

static _Thread_local bool is_test_thread;

#if CAN_INTERPOSE

/* The allocator behind the names that are defined here (glibc). */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);
extern void __libc_free(void *p);

static bool refused(void)
{
    if (!atomic_load(&counted.on))
        return false;
    if (!is_test_thread)
        atomic_fetch_add(&counted.n_others, 1);
    if (atomic_fetch_add(&counted.n, 1) + 1 != atomic_load(&counted.fail_nth))
        return false;
    errno = ENOMEM;
    return true;
}

static void *got(void *p)
{
    if (p && atomic_load(&counted.on))
        atomic_fetch_add(&counted.balance, 1);
    return p;
}

void *malloc(size_t size)
{
    return refused() ? NULL : got(__libc_malloc(size));
}

void *calloc(size_t n, size_t size)
{
    return refused() ? NULL : got(__libc_calloc(n, size));
}

/* Also behind reallocarray(3) and getline(3); malloc() is behind strdup(3) and the like. */
void *realloc(void *old, size_t size)
{
    if (refused())
        return NULL;
    return old ? __libc_realloc(old, size) : got(__libc_malloc(size));
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return refused() ? NULL : got(__libc_memalign(alignment, size));
}

int posix_memalign(void **ret, size_t alignment, size_t size)
{
    *ret = refused() ? NULL : got(__libc_memalign(alignment, size));
    return *ret ? 0 : ENOMEM;
}

void free(void *p)
{
    if (p && atomic_load(&counted.on))
        atomic_fetch_sub(&counted.balance, 1);
    __libc_free(p);
}

#endif

static void count_from_here(unsigned fail_nth)
{
    is_test_thread = true;
    atomic_store(&counted.fail_nth, fail_nth);
    atomic_store(&counted.n, 0);
    atomic_store(&counted.n_others, 0);
    atomic_store(&counted.balance, 0);
    atomic_store(&counted.on, true);
}

static void count_to_here(void)
{
    atomic_store(&counted.on, false);
}
