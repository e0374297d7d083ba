/* SPDX-License-Identifier: MIT */
#include "greetd/greeting/render.h"

#include <errno.h>
#include <stdint.h>

#include "greetd/greeting/fortune.h"

/* Enough for most greetings. */
#define RENDER_CAPACITY_MIN ((size_t)1024)

#define RENDER_SIZE_MAX ((size_t)UINT32_MAX)

/* Repeated until it fits: a value may be longer the next time. */
static int append_variable(struct buffer *buffer, const struct greeting_piece *piece,
                           const struct variable_client *client)
{
    const struct variable *variable = piece->variable;

    for (;;) {
        size_t room = buffer->capacity - buffer->size;
        char *end = buffer->bytes + buffer->size;
        size_t length = piece->argument ? variable->write_with(client, piece->argument, end, room)
                                        : variable->write(client, end, room);

        if (length == VARIABLE_FAILED)
            return -ENOMEM;
        if (length < room) {
            buffer->size += length;
            return 0;
        }
        /* With room for its '\0'. */
        int r = buffer_reserve(buffer, length + 1, RENDER_SIZE_MAX);
        if (r < 0)
            return r;
    }
}

int render_greeting(struct buffer *buffer, const struct greeting *greeting,
                    const struct variable_client *client)
{
    if (greeting->entries)
        greeting = fortune_pick(greeting, client->random, client->clock);
    const char *literal = greeting->bytes;

    buffer->size = 0;
    int r = buffer_reserve(buffer, RENDER_CAPACITY_MIN, RENDER_SIZE_MAX);
    if (!greeting->pieces && r >= 0)
        return buffer_append(buffer, literal, greeting->size, RENDER_SIZE_MAX);
    for (size_t i = 0; i < greeting->n_pieces && r >= 0; i++) {
        const struct greeting_piece *piece = &greeting->pieces[i];

        r = buffer_append(buffer, literal, piece->size, RENDER_SIZE_MAX);
        if (r >= 0 && piece->variable)
            r = append_variable(buffer, piece, client);
        literal += piece->size;
    }
    return r;
}
