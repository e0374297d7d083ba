/* SPDX-License-Identifier: MIT */
#include "greetd/greeting/units.h"

#include <errno.h>
#include <string.h>

#include "greetd/greeting/variable.h"

void units_deinit(struct units *units)
{
    for (size_t i = 0; i < units->n; i++)
        free(units->items[i].name);
    free(units->items);
    *units = (struct units){.items = NULL};
}

bool units_are_in(const struct greeting *greeting)
{
    return greeting->needs & VARIABLE_NEEDS_UNITS;
}

/* Returns the unit of a piece, or NULL. */
static struct variable_argument *unit_of(const struct greeting_piece *piece)
{
    return piece->variable && piece->variable->needs & VARIABLE_NEEDS_UNITS ? piece->argument
                                                                            : NULL;
}

/* Returns the index of NAME, or that of the first unit behind it. */
static size_t find_place(const struct units *units, const char *name)
{
    size_t low = 0, high = units->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (strcmp(units->items[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct unit *find(const struct units *units, const char *name)
{
    size_t place = find_place(units, name);

    return place < units->n && strcmp(units->items[place].name, name) == 0 ? &units->items[place]
                                                                           : NULL;
}

static int insert(struct units *units, const char *name)
{
    size_t place = find_place(units, name);

    if (units->n == units->capacity) {
        size_t capacity = 2 * units->n + 4;
        struct unit *grown = reallocarray(units->items, capacity, sizeof(*units->items));
        if (!grown)
            return -ENOMEM;
        units->items = grown;
        units->capacity = capacity;
    }
    char *copy = strdup(name);
    if (!copy)
        return -ENOMEM;
    memmove(&units->items[place + 1], &units->items[place],
            (units->n - place) * sizeof(*units->items));
    units->items[place] = (struct unit){.name = copy};
    units->n++;
    return 0;
}

static int add_pieces(struct units *units, const struct greeting *greeting)
{
    int r = 0;

    for (size_t i = 0; i < greeting->n_pieces && r >= 0; i++) {
        const struct variable_argument *argument = unit_of(&greeting->pieces[i]);

        if (argument && !find(units, argument->text))
            r = insert(units, argument->text);
    }
    return r;
}

int units_add(struct units *units, const struct greeting *greeting)
{
    int r = add_pieces(units, greeting);

    for (size_t i = 0; i < greeting->n_entries && r >= 0; i++)
        r = add_pieces(units, &greeting->entries[i]);
    return r;
}

void units_copy_states(struct units *units, const struct units *from)
{
    for (size_t i = 0; i < units->n; i++) {
        const struct unit *unit = find(from, units->items[i].name);

        if (unit)
            units->items[i].state = unit->state;
    }
}

void units_forget_states(struct units *units)
{
    for (size_t i = 0; i < units->n; i++)
        units->items[i].state = UNIT_STATE_UNKNOWN;
}

static void apply_pieces(const struct units *units, const struct greeting *greeting)
{
    for (size_t i = 0; i < greeting->n_pieces; i++) {
        struct variable_argument *argument = unit_of(&greeting->pieces[i]);
        const struct unit *unit = argument ? find(units, argument->text) : NULL;

        if (unit)
            atomic_store_explicit(&argument->unit_state, unit->state, memory_order_relaxed);
    }
}

void units_apply(const struct units *units, const struct greeting *greeting)
{
    apply_pieces(units, greeting);
    for (size_t i = 0; i < greeting->n_entries; i++)
        apply_pieces(units, &greeting->entries[i]);
}
