/* SPDX-License-Identifier: MIT */
#include "races.h"

#include "explore.h"
#include "heap.h"
#include "memory.h"

/* The accesses to one byte, as times of the clocks of the threads; 0 is none. */
struct byte {
    uint32_t execution; /* that the others are of */
    bool freed;
    uint32_t writes[2][MEMORY_THREADS], reads[2][MEMORY_THREADS]; /* plain, atomic */
};

/* The hooks have no argument for it. */
static struct {
    uint32_t execution;
    struct byte bytes[HEAP_SIZE];
} races;

void races_reset(void)
{
    races.execution++;
}

/* Whether one of the accesses at TIMES does not happen before what THREAD does now. */
static bool is_unordered(unsigned thread, const uint32_t *clock, const uint32_t *times)
{
    for (unsigned i = 0; i < MEMORY_THREADS; i++)
        if (i != thread && times[i] > clock[i])
            return true;
    return false;
}

static struct byte *byte_at(size_t offset)
{
    struct byte *byte = &races.bytes[offset];

    if (byte->execution != races.execution)
        *byte = (struct byte){.execution = races.execution};
    return byte;
}

static bool is_race(const struct byte *byte, unsigned thread, const uint32_t *clock, bool write,
                    bool atomic)
{
    return is_unordered(thread, clock, byte->writes[0]) ||
           (!atomic && is_unordered(thread, clock, byte->writes[1])) ||
           (write && is_unordered(thread, clock, byte->reads[0])) ||
           (write && !atomic && is_unordered(thread, clock, byte->reads[1]));
}

void races_check(unsigned thread, const uint32_t *clock, const volatile void *address, size_t size,
                 bool write, bool atomic)
{
    size_t first = heap_offset(address);

    if (first == HEAP_SIZE)
        return;
    for (size_t i = first; i < first + size; i++) {
        struct byte *byte = byte_at(i);

        if (byte->freed)
            explore_fail("use after free");
        if (is_race(byte, thread, clock, write, atomic))
            explore_fail("data race");
        (write ? byte->writes : byte->reads)[atomic][thread] = clock[thread];
    }
}

void races_free(unsigned thread, const uint32_t *clock, const void *block)
{
    size_t first = heap_offset(block), size = heap_size(block);

    races_check(thread, clock, block, size, true, false);
    for (size_t i = first; i < first + size; i++)
        byte_at(i)->freed = true;
}
