/* SPDX-License-Identifier: MIT */

/* The functions of libc for memory, by the names that replace.h gives them. */

#include "libc.h"

#include <string.h>

#include "explore.h"
#include "heap.h"
#include "memory.h"

void *model_malloc(size_t size)
{
    return heap_allocate(size, _Alignof(max_align_t));
}

void *model_calloc(size_t n, size_t size)
{
    return model_malloc(n * size);
}

void *model_aligned_alloc(size_t alignment, size_t size)
{
    return heap_allocate(size, alignment);
}

void model_free(void *block)
{
    if (block)
        memory_free(explore_thread(), block);
}

void *model_memcpy(void *to, const void *from, size_t size)
{
    memory_check(explore_thread(), from, size, false, false);
    memory_check(explore_thread(), to, size, true, false);
    return memcpy(to, from, size);
}

void *model_memset(void *to, int byte, size_t size)
{
    memory_check(explore_thread(), to, size, true, false);
    return memset(to, byte, size);
}

char *model_strdup(const char *text)
{
    size_t size = strlen(text) + 1;

    return model_memcpy(model_malloc(size), text, size);
}

void model_assert_fail(const char *assertion, const char *file, unsigned line, const char *function)
{
    (void)file;
    (void)line;
    (void)function;
    explore_fail(assertion);
}
