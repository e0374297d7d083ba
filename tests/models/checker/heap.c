/* SPDX-License-Identifier: MIT */
#include "heap.h"

#include <stdint.h>
#include <string.h>

#include "explore.h"

#define ALIGNMENT 64

/* The allocator has no argument for it. */
static struct {
    _Alignas(ALIGNMENT) char bytes[HEAP_SIZE];
    size_t used;
} heap;

void heap_reset(void)
{
    memset(heap.bytes, 0, heap.used);
    heap.used = 0;
}

size_t heap_used(void)
{
    return heap.used;
}

/* The size is before the block. */
void *heap_allocate(size_t size, size_t alignment)
{
    size_t first = heap.used + sizeof(size);

    if (alignment > ALIGNMENT || size > HEAP_SIZE)
        explore_give_up("too large for the heap");
    first = (first + alignment - 1) / alignment * alignment;
    if (first + size > HEAP_SIZE)
        explore_give_up("out of memory");
    memcpy(&heap.bytes[first - sizeof(size)], &size, sizeof(size));
    heap.used = first + size;
    return &heap.bytes[first];
}

size_t heap_size(const void *block)
{
    size_t size;

    memcpy(&size, (const char *)block - sizeof(size), sizeof(size));
    return size;
}

size_t heap_offset(const volatile void *address)
{
    uintptr_t offset = (uintptr_t)address - (uintptr_t)heap.bytes;

    return offset < heap.used ? offset : HEAP_SIZE;
}
