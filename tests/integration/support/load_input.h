/* SPDX-License-Identifier: MIT */
#pragma once

/* What each client of test-load sends before it reads. Owns its bytes. */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define INPUT_FILE_MAX ((size_t)64 * 1024 * 1024)

struct bytes {
    char *text;
    size_t size;
};

struct input {
    struct bytes bytes; /* without a text, zeros or the header */
    bool has_header;    /* a PROXY header of version 2 */
    bool byte_by_byte;
    unsigned long first_prefix; /* the number of the IPv6 /64 in the header of the first client */
};

_Noreturn void fail(const char *subject);

/* Reads the file at PATH, or fails. */
struct bytes read_file(const char *path);

/* Has client number N send a header from an address in the /64 number FIRST_PREFIX + N. */
void input_use_header(struct input *input, unsigned long first_prefix);

/* Sends bytes from OFFSET on for client number CLIENT. The result is that of send(2). */
ssize_t input_send(const struct input *input, int fd, unsigned long client, size_t offset);
