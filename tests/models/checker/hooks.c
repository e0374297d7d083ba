/* SPDX-License-Identifier: MIT */

/* What gcc -fsanitize=thread has the program call for each access to memory, in place of the
 * library of ThreadSanitizer. So the sources are checked as they are, and no access is missed. */

#include "hooks.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "explore.h"
#include "memory.h"

#define SITES 256

/* A place in the program with an atomic access or a fence. */
struct site {
    uintptr_t address;
    const char *kind;
    memory_order order;
};

/* The hooks have no argument for it. */
static struct {
    unsigned n, n_weakened;
    struct site sites[SITES];
    struct site weakened[SITES]; /* with the order that they have instead of their own */
} hooks;

void hooks_weaken(uintptr_t address, memory_order order)
{
    if (hooks.n_weakened == SITES)
        explore_give_up("too many weakened sites");
    hooks.weakened[hooks.n_weakened++] = (struct site){.address = address, .order = order};
}

void hooks_print_sites(void)
{
    for (unsigned i = 0; i < hooks.n; i++)
        printf("site %#lx %s %d\n", (unsigned long)hooks.sites[i].address, hooks.sites[i].kind,
               (int)hooks.sites[i].order);
}

static void note_site(uintptr_t address, const char *kind, memory_order order)
{
    for (unsigned i = 0; i < hooks.n; i++)
        if (hooks.sites[i].address == address)
            return;
    if (hooks.n == SITES)
        explore_give_up("too many sites");
    hooks.sites[hooks.n++] = (struct site){.address = address, .kind = kind, .order = order};
}

/* Returns the order of the access at the address to which its hook returns. */
static memory_order order_at(void *address, const char *kind, int order)
{
    note_site((uintptr_t)address, kind, (memory_order)order);
    for (unsigned i = 0; i < hooks.n_weakened; i++)
        if (hooks.weakened[i].address == (uintptr_t)address)
            return hooks.weakened[i].order;
    return (memory_order)order;
}

static unsigned step_at(enum step_kind kind, const volatile void *address, size_t size)
{
    unsigned location = memory_location(address, size);

    explore_access((struct step){.kind = kind, .where = location}, address);
    return location;
}

static uint64_t update_exchange(uint64_t value, uint64_t operand)
{
    (void)value;
    return operand;
}

static uint64_t update_add(uint64_t value, uint64_t operand)
{
    return value + operand;
}

static uint64_t update_sub(uint64_t value, uint64_t operand)
{
    return value - operand;
}

static uint64_t modify(void *site, volatile void *address, size_t size, memory_update *update,
                       uint64_t operand, int order)
{
    memory_order in_force = order_at(site, "modify", order);
    unsigned location = step_at(STEP_MODIFY, address, size);

    return memory_modify(explore_thread(), location, update, operand, in_force);
}

/* Prototypes first, as for any function that is called from elsewhere. */
#define HOOK(type, name, ...)                                                                      \
    type name(__VA_ARGS__);                                                                        \
    type name(__VA_ARGS__)

#define SITE __builtin_return_address(0)

#define MODIFY_HOOK(bits, type, name, update)                                                      \
    HOOK(type, __tsan_atomic##bits##_##name, volatile type *address, type operand, int order)      \
    {                                                                                              \
        return (type)modify(SITE, address, sizeof(type), update, operand, order);                  \
    }

#define ATOMIC_HOOKS(bits, type)                                                                   \
    HOOK(type, __tsan_atomic##bits##_load, const volatile type *address, int order)                \
    {                                                                                              \
        memory_order in_force = order_at(SITE, "load", order);                                     \
        unsigned location = step_at(STEP_LOAD, address, sizeof(type));                             \
                                                                                                   \
        return (type)memory_load(explore_thread(), location, in_force);                            \
    }                                                                                              \
    HOOK(void, __tsan_atomic##bits##_store, volatile type *address, type value, int order)         \
    {                                                                                              \
        memory_order in_force = order_at(SITE, "store", order);                                    \
        unsigned location = memory_location(address, sizeof(type));                                \
                                                                                                   \
        explore_access(                                                                            \
            (struct step){                                                                         \
                .kind = STEP_STORE, .where = location, .value = value, .order = in_force},         \
            address);                                                                              \
        memory_store(explore_thread(), location, value, in_force);                                 \
    }                                                                                              \
    HOOK(_Bool, __tsan_atomic##bits##_compare_exchange_strong, volatile type *address,             \
         type *expected, type desired, int order, int failed)                                      \
    {                                                                                              \
        memory_order in_force = order_at(SITE, "modify", order);                                   \
        unsigned location = step_at(STEP_MODIFY, address, sizeof(type));                           \
        uint64_t value = *expected;                                                                \
        bool done = memory_compare_exchange(explore_thread(), location, &value, desired, in_force, \
                                            (memory_order)failed);                                 \
                                                                                                   \
        *expected = (type)value;                                                                   \
        return done;                                                                               \
    }                                                                                              \
    MODIFY_HOOK(bits, type, exchange, update_exchange)                                             \
    MODIFY_HOOK(bits, type, fetch_add, update_add)                                                 \
    MODIFY_HOOK(bits, type, fetch_sub, update_sub)

ATOMIC_HOOKS(8, uint8_t)
ATOMIC_HOOKS(32, uint32_t)
ATOMIC_HOOKS(64, uint64_t)

HOOK(void, __tsan_atomic_thread_fence, int order)
{
    memory_order in_force = order_at(SITE, "fence", order);

    if (in_force == memory_order_seq_cst)
        explore_step((struct step){.kind = STEP_FENCE});
    if (in_force != memory_order_relaxed)
        memory_fence(explore_thread(), in_force);
}

#define PLAIN_HOOKS(suffix, size)                                                                  \
    HOOK(void, __tsan_read##suffix, const void *address)                                           \
    {                                                                                              \
        memory_check(explore_thread(), address, size, false, false);                               \
    }                                                                                              \
    HOOK(void, __tsan_write##suffix, const void *address)                                          \
    {                                                                                              \
        memory_check(explore_thread(), address, size, true, false);                                \
    }                                                                                              \
    HOOK(void, __tsan_unaligned_read##suffix, const void *address)                                 \
    {                                                                                              \
        memory_check(explore_thread(), address, size, false, false);                               \
    }                                                                                              \
    HOOK(void, __tsan_unaligned_write##suffix, const void *address)                                \
    {                                                                                              \
        memory_check(explore_thread(), address, size, true, false);                                \
    }

PLAIN_HOOKS(1, 1)
PLAIN_HOOKS(2, 2)
PLAIN_HOOKS(4, 4)
PLAIN_HOOKS(8, 8)
PLAIN_HOOKS(16, 16)

HOOK(void, __tsan_read_range, const void *address, unsigned long size)
{
    memory_check(explore_thread(), address, size, false, false);
}

HOOK(void, __tsan_write_range, const void *address, unsigned long size)
{
    memory_check(explore_thread(), address, size, true, false);
}

HOOK(void, __tsan_func_entry, void *caller)
{
    (void)caller;
}

HOOK(void, __tsan_func_exit, void)
{
}

HOOK(void, __tsan_init, void)
{
}
