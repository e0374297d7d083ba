/* SPDX-License-Identifier: MIT */
#include "greetd/greeting/render.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Enough for most, so that few greetings make it grow again. */
#define RENDER_CAPACITY_MIN ((size_t)1024)

void render_deinit(struct render *render)
{
    free(render->bytes);
    *render = (struct render){0};
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Makes room for N more bytes. */
static int reserve(struct render *render, size_t n)
{
    size_t needed = render->size + n;

    if (needed <= render->capacity)
        return 0;
    if (needed > UINT32_MAX)
        return -EFBIG;

    size_t capacity = larger(RENDER_CAPACITY_MIN, larger(needed, 2 * render->capacity));
    char *grown = realloc(render->bytes, capacity);
    if (!grown)
        return -ENOMEM;
    render->bytes = grown;
    render->capacity = capacity;
    return 0;
}

static int append_literal(struct render *render, const char *bytes, size_t n)
{
    int r = reserve(render, n);
    if (r < 0)
        return r;
    if (n > 0)
        memcpy(render->bytes + render->size, bytes, n);
    render->size += n;
    return 0;
}

/* Until it fits: a value may be longer when it is asked for again. */
static int append_variable(struct render *render, const struct variable *variable,
                           const struct variable_client *client)
{
    for (;;) {
        size_t room = render->capacity - render->size;
        char *end = room > 0 ? render->bytes + render->size : NULL;
        size_t length = variable->write(client, end, room);

        if (length < room) {
            render->size += length;
            return 0;
        }
        /* With room for its '\0'. */
        int r = reserve(render, length + 1);
        if (r < 0)
            return r;
    }
}

int render_greeting(struct render *render, const struct greeting *greeting,
                    const struct variable_client *client)
{
    const char *literal = greeting->bytes;

    render->size = 0;
    for (size_t i = 0; i < greeting->n_pieces; i++) {
        const struct greeting_piece *piece = &greeting->pieces[i];

        int r = append_literal(render, literal, piece->size);
        if (r >= 0 && piece->variable)
            r = append_variable(render, piece->variable, client);
        if (r < 0)
            return r;
        literal += piece->size;
    }
    return 0;
}
