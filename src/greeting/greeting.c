/* SPDX-License-Identifier: MIT */
#include "greetd/greeting/greeting.h"

#include <errno.h>

#include "greetd/base/file.h"

struct greeting *greeting_new(void)
{
    struct greeting *greeting = calloc(1, sizeof(*greeting));

    if (greeting)
        refcount_init(&greeting->references);
    return greeting;
}

int greeting_new_from_file(struct greeting **ret, const char *path)
{
    _cleanup_free_ char *bytes = NULL;
    size_t size;

    int r = file_read(&bytes, &size, path, GREETING_SIZE_MAX);
    if (r < 0)
        return r;

    struct greeting *greeting = greeting_new();
    if (!greeting)
        return -ENOMEM;
    greeting->bytes = TAKE_PTR(bytes);
    greeting->size = size;
    *ret = greeting;
    return 0;
}

void greeting_free_pieces(struct greeting_piece *pieces, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(pieces[i].argument);
    free(pieces);
}

struct greeting *greeting_ref(struct greeting *greeting)
{
    refcount_take(&greeting->references);
    return greeting;
}

void greeting_unref(struct greeting *greeting)
{
    if (!greeting || !refcount_drop(&greeting->references))
        return;
    for (size_t i = 0; i < greeting->n_entries; i++) {
        greeting_free_pieces(greeting->entries[i].pieces, greeting->entries[i].n_pieces);
        if (greeting->entries_own)
            free(greeting->entries[i].bytes);
    }
    free(greeting->entries);
    free(greeting->bytes);
    greeting_free_pieces(greeting->pieces, greeting->n_pieces);
    free(greeting);
}
