/* SPDX-License-Identifier: MIT */
#include "greetd/base/buffer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void buffer_deinit(struct buffer *buffer)
{
    free(buffer->bytes);
    *buffer = BUFFER_NULL;
}

int buffer_reserve(struct buffer *buffer, size_t n, size_t limit)
{
    if (n <= buffer->capacity - buffer->size)
        return 0;
    if (buffer->size > limit || n > limit - buffer->size)
        return -EFBIG;

    /* Doubling keeps the cost of an append constant on average. */
    size_t needed = buffer->size + n, doubled = 2 * buffer->capacity;
    size_t capacity = needed > doubled ? needed : doubled;
    char *grown = realloc(buffer->bytes, capacity);
    if (!grown)
        return -ENOMEM;
    buffer->bytes = grown;
    buffer->capacity = capacity;
    return 0;
}

int buffer_append(struct buffer *buffer, const void *bytes, size_t n, size_t limit)
{
    int r = buffer_reserve(buffer, n, limit);
    if (r < 0)
        return r;
    /* memcpy(3) may not be given a null pointer, not even for 0 bytes. */
    if (n > 0)
        memcpy(buffer->bytes + buffer->size, bytes, n);
    buffer->size += n;
    return 0;
}
