/* SPDX-License-Identifier: MIT */
#pragma once

/* Rows of tests of proxy_header_parse(), checked however the stream is split. */

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "greetd/base/cleanup.h"
#include "greetd/guard/proxy_header.h"

/* Criterion copies a row into the process of its test, but not the memory a pointer points to. */
struct proxy_row {
    char bytes[248];
    size_t size;
    char source[48];        /* of a right header: as peer_format() writes it, "" without */
    enum proxy_error error; /* of a wrong one, */
    size_t wrong;           /* whose first wrong byte is this one, counted from 1 */
};

#define PROXY_BYTES(text) .bytes = text, .size = sizeof(text) - 1

/* Parses a copy of SIZE bytes, so that ASan sees a read past them. Returns the result. HEADER and
 * ERROR are untouched as proxy_header_parse() promises, or the test fails. */
static inline int proxy_parse(struct proxy_header *header, enum proxy_error *error,
                              const char *bytes, size_t size)
{
    _cleanup_free_ char *copy = memcpy(malloc(size + (size == 0)), bytes, size);

    *header = (struct proxy_header){.size = 4711};
    *error = PROXY_ERROR_N;
    int r = proxy_header_parse(header, error, copy, size);
    cr_expect(r > 0 || header->size == 4711);
    cr_expect(r < 0 || *error == PROXY_ERROR_N);
    return r;
}

/* Checks that the header of ROW is complete with its last byte, and ends there. */
static inline void proxy_check_right(const struct proxy_row *row)
{
    char bytes[sizeof(row->bytes) + 4], source[ADDRESS_TEXT_MAX];
    struct proxy_header header;
    enum proxy_error error;

    memcpy(mempcpy(bytes, row->bytes, row->size), "\r\n\0A", 4);
    for (size_t size = 0; size < row->size; size++)
        cr_expect_eq(proxy_parse(&header, &error, bytes, size), 0, "after %zu bytes: %d", size,
                     error);
    for (size_t size = row->size; size <= row->size + 4; size++) {
        cr_assert_eq(proxy_parse(&header, &error, bytes, size), 1, "%zu: %d", size, error);
        cr_expect_eq(header.size, row->size);
        cr_expect_eq(header.has_source, row->source[0] != '\0');
        if (header.has_source)
            cr_expect_str_eq(peer_format(&header.source, source), row->source);
    }
}

/* Checks that the header of ROW is right up to its first wrong byte, and wrong from there on. */
static inline void proxy_check_wrong(const struct proxy_row *row)
{
    struct proxy_header header;
    enum proxy_error error;

    cr_expect_leq(row->wrong, row->size);
    for (size_t size = 0; size < row->wrong; size++)
        cr_expect_eq(proxy_parse(&header, &error, row->bytes, size), 0, "after %zu bytes: %d", size,
                     error);
    for (size_t size = row->wrong; size <= row->size; size++) {
        cr_expect_eq(proxy_parse(&header, &error, row->bytes, size), -EBADMSG, "%zu", size);
        cr_expect_eq(error, row->error, "after %zu bytes: %d", size, error);
    }
}
