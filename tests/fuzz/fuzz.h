/* SPDX-License-Identifier: MIT */
#pragma once

/* What all fuzz targets share: the properties that they check, and parts of their input. */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a fuzzing engine calls for each input. The result is 0, or -1 to keep the input out of the
 * corpus. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* For a function that only checks: what it reaches does not lead the engine, which is faster then.
 */
#define FUZZ_UNTRACED __attribute__((no_sanitize("coverage")))

/* Ends the process with a message unless CONDITION is true: the engine keeps the input then. */
#define PROPERTY(condition)                                                                        \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);              \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* The rest of the input, from which a target takes what it needs. */
struct fuzz_input {
    const uint8_t *bytes;
    size_t size;
};

/* Takes a number of N bytes, the lowest one first. Bytes that are missing are zeros. */
static inline uint64_t fuzz_take_number(struct fuzz_input *input, size_t n)
{
    uint64_t number = 0;

    for (size_t i = 0; i < n && input->size > 0; i++) {
        number |= (uint64_t)*input->bytes++ << 8 * i;
        input->size--;
    }
    return number;
}

/* Takes the text up to a DELIMITER, which is taken too, or up to the end. The caller frees it. It
 * ends at its first '\0', and no byte behind that can be read without ASan's notice. */
static inline char *fuzz_take_text(struct fuzz_input *input, char delimiter)
{
    const uint8_t *end = input->size > 0 ? memchr(input->bytes, delimiter, input->size) : NULL;
    size_t length = end ? (size_t)(end - input->bytes) : input->size;
    char *text = length > 0 ? strndup((const char *)input->bytes, length) : strdup("");

    PROPERTY(text);
    length += end ? 1 : 0;
    input->bytes += length;
    input->size -= length;
    return text;
}

/* Returns all BYTES as a text in the same way. */
static inline char *fuzz_text(const uint8_t *bytes, size_t size)
{
    return fuzz_take_text(&(struct fuzz_input){bytes, size}, '\0');
}
