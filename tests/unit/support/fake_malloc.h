/* SPDX-License-Identifier: MIT */
#pragma once

/* A malloc(3) and its like that count the calls and can fail one of them, in place of those of the
 * C library. Include it in one source of a program only. A sanitizer has an allocator of its own;
 * then nothing is counted. */

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
    atomic_uint fail_nth; /* the call that fails, from 1; 0 for none */
    atomic_uint n;        /* calls for memory */
    atomic_uint n_others; /* calls from threads other than that of the test */
    atomic_int balance;   /* allocations less frees */
} counted;

static _Thread_local bool is_test_thread;

#if CAN_INTERPOSE

/* The allocator of glibc, behind the names that are defined here. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);
extern void __libc_free(void *p);

/* Counts a call. Returns whether it is the one that must fail. */
static bool must_fail(void)
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

static void *count_allocation(void *p)
{
    if (p && atomic_load(&counted.on))
        atomic_fetch_add(&counted.balance, 1);
    return p;
}

void *malloc(size_t size)
{
    return must_fail() ? NULL : count_allocation(__libc_malloc(size));
}

void *calloc(size_t n, size_t size)
{
    return must_fail() ? NULL : count_allocation(__libc_calloc(n, size));
}

/* reallocarray(3) and getline(3) call it; strdup(3) and its like call malloc(). */
void *realloc(void *old, size_t size)
{
    if (must_fail())
        return NULL;
    return old ? __libc_realloc(old, size) : count_allocation(__libc_malloc(size));
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return must_fail() ? NULL : count_allocation(__libc_memalign(alignment, size));
}

int posix_memalign(void **ret, size_t alignment, size_t size)
{
    *ret = must_fail() ? NULL : count_allocation(__libc_memalign(alignment, size));
    return *ret ? 0 : ENOMEM;
}

void free(void *p)
{
    if (p && atomic_load(&counted.on))
        atomic_fetch_sub(&counted.balance, 1);
    __libc_free(p);
}

#endif

/* Counts from now on, and has the call FAIL_NTH fail; 0 for none. */
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
