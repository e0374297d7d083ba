/* SPDX-License-Identifier: MIT */

/* A library for LD_PRELOAD: the allocation with the number $FAIL_ALLOCATION, from 1, fails as
 * malloc(3) does without memory, and the file $FAIL_ALLOCATION_FILE is made to say so. */

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

static unsigned long fail_nth;
static const char *path;
static atomic_ulong calls;

/* Allocations before main(), which are those of the loader, have passed by then. */
__attribute__((constructor)) static void begin(void)
{
    const char *number = getenv("FAIL_ALLOCATION");

    fail_nth = number ? strtoul(number, NULL, 10) : 0;
    path = getenv("FAIL_ALLOCATION_FILE");
}

static bool must_fail(void)
{
    if (fail_nth == 0 || !path || atomic_fetch_add(&calls, 1) + 1 != fail_nth)
        return false;
    close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    errno = ENOMEM;
    return true;
}

/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): the names of glibc are
 * reserved. */
void *malloc(size_t size)
{
    return must_fail() ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    return must_fail() ? NULL : __libc_calloc(n, size);
}

/* reallocarray(3) and getline(3) call it; strdup(3) and its like call malloc(). */
void *realloc(void *old, size_t size)
{
    return must_fail() ? NULL : __libc_realloc(old, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return must_fail() ? NULL : __libc_memalign(alignment, size);
}
/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
