/* SPDX-License-Identifier: MIT */
#pragma once

/* A byte buffer that grows as bytes are appended. It owns its memory and belongs to one thread. */

#include <stddef.h>

struct buffer {
    char *bytes; /* owned; not terminated; NULL while capacity is 0 */
    size_t size, capacity;
};

#define BUFFER_NULL ((struct buffer){0})

/* Frees the memory and leaves the buffer empty. */
void buffer_deinit(struct buffer *buffer);

/* Makes room for N more bytes. Returns 0; -EFBIG if the buffer would have to grow beyond LIMIT
 * bytes; -ENOMEM. The buffer is unchanged on failure. */
int buffer_reserve(struct buffer *buffer, size_t n, size_t limit);

/* Appends a copy of N bytes. Errors are those of buffer_reserve(). */
int buffer_append(struct buffer *buffer, const void *bytes, size_t n, size_t limit);
