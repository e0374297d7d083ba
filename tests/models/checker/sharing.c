/* SPDX-License-Identifier: MIT */
#include "sharing.h"

#include <stdint.h>

#include "explore.h"

#define OBJECTS 256

/* Threads are bits. */
struct object {
    const volatile void *address;
    unsigned readers, writers;
};

/* The hooks have no argument for it. It is kept from one execution to the next. */
static struct {
    unsigned n;
    struct object objects[OBJECTS];
} sharing;

static struct object *object_at(const volatile void *address)
{
    for (unsigned i = 0; i < sharing.n; i++)
        if (sharing.objects[i].address == address)
            return &sharing.objects[i];
    if (sharing.n == OBJECTS)
        explore_give_up("too many atomic objects");
    sharing.objects[sharing.n] = (struct object){.address = address};
    return &sharing.objects[sharing.n++];
}

bool sharing_note(const volatile void *address, unsigned thread, bool writes)
{
    struct object *object = object_at(address);
    unsigned *threads = writes ? &object->writers : &object->readers;
    bool known = *threads >> thread & 1;

    *threads |= 1U << thread;
    return known;
}

bool sharing_conflicts(const volatile void *address, unsigned thread, bool writes)
{
    const struct object *object = object_at(address);
    unsigned others = writes ? object->readers | object->writers : object->writers;

    return (others & ~(1U << thread)) != 0;
}
