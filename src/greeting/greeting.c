/* SPDX-License-Identifier: MIT */
#include "greetd/greeting/greeting.h"

#include <errno.h>

#include "greetd/base/file.h"

int greeting_new_from_file(struct greeting **ret, const char *path)
{
    _cleanup_free_ char *bytes = NULL;
    size_t size;

    int r = file_read(&bytes, &size, path, GREETING_SIZE_MAX);
    if (r < 0)
        return r;

    struct greeting *greeting = malloc(sizeof(*greeting));
    if (!greeting)
        return -ENOMEM;
    *greeting = (struct greeting){.bytes = TAKE_PTR(bytes), .size = size};
    *ret = greeting;
    return 0;
}

void greeting_free(struct greeting *greeting)
{
    if (!greeting)
        return;
    free(greeting->bytes);
    free(greeting->pieces);
    free(greeting);
}
