/* SPDX-License-Identifier: MIT */
#pragma once

/* The functions of libc for memory, as libc declares them. */

#include <stddef.h>

void *model_malloc(size_t size);
void *model_calloc(size_t n, size_t size);
void *model_aligned_alloc(size_t alignment, size_t size);
void model_free(void *block);
void *model_memcpy(void *to, const void *from, size_t size);
void *model_memset(void *to, int byte, size_t size);
char *model_strdup(const char *text);
_Noreturn void model_assert_fail(const char *assertion, const char *file, unsigned line,
                                 const char *function);
