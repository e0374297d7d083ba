/* SPDX-License-Identifier: MIT */
#include "greetd/greeting/render.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Enough for most, so that few greetings make it grow again. */
#define RENDERING_CAPACITY_MIN ((size_t)1024)

void rendering_deinit(struct rendering *rendering)
{
    free(rendering->bytes);
    *rendering = (struct rendering){0};
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Makes room for N more bytes. */
static int reserve(struct rendering *rendering, size_t n)
{
    size_t needed = rendering->size + n;

    if (needed <= rendering->capacity)
        return 0;
    if (needed > UINT32_MAX)
        return -EFBIG;

    size_t capacity = larger(RENDERING_CAPACITY_MIN, larger(needed, 2 * rendering->capacity));
    char *grown = realloc(rendering->bytes, capacity);
    if (!grown)
        return -ENOMEM;
    rendering->bytes = grown;
    rendering->capacity = capacity;
    return 0;
}

static int append_literal(struct rendering *rendering, const char *bytes, size_t n)
{
    int r = reserve(rendering, n);
    if (r < 0)
        return r;
    if (n > 0)
        memcpy(rendering->bytes + rendering->size, bytes, n);
    rendering->size += n;
    return 0;
}

/* Until it fits: a value may be longer when it is asked for again. */
static int append_variable(struct rendering *rendering, const struct variable *variable,
                           const struct variable_client *client)
{
    for (;;) {
        size_t room = rendering->capacity - rendering->size;
        char *end = room > 0 ? rendering->bytes + rendering->size : NULL;
        size_t length = variable->write(client, end, room);

        if (length < room) {
            rendering->size += length;
            return 0;
        }
        /* With room for its '\0'. */
        int r = reserve(rendering, length + 1);
        if (r < 0)
            return r;
    }
}

int rendering_make(struct rendering *rendering, const struct greeting *greeting,
                   const struct peer *peer, uint64_t number)
{
    const struct variable_client client = {
        .peer = peer, .number = number, .metrics = &rendering->metrics};
    const char *literal = greeting->bytes;

    rendering->size = 0;
    for (size_t i = 0; i < greeting->n_pieces; i++) {
        const struct greeting_piece *piece = &greeting->pieces[i];

        int r = append_literal(rendering, literal, piece->size);
        if (r >= 0 && piece->variable)
            r = append_variable(rendering, piece->variable, &client);
        if (r < 0)
            return r;
        literal += piece->size;
    }
    return 0;
}
