/* SPDX-License-Identifier: MIT */
#include "greetd/guard/crc32c.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#include "greetd/base/cleanup.h"

/* The examples of RFC 3720 B.4, which has the bytes of each checksum from the lowest to the
 * highest. */
struct row {
    unsigned char bytes[48];
    size_t size;
    uint32_t crc;
};

ParameterizedTestParameters(crc32c, is_that_of_RFC_3720_in_one_piece_or_two)
{
    static struct row rows[] = {
        {.size = 32, .crc = 0x8a9136aa},
        {.bytes = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                   0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                   0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
         .size = 32,
         .crc = 0x62a8ab43},
        {.bytes = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                   16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31},
         .size = 32,
         .crc = 0x46dd794e},
        {.bytes = {31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16,
                   15, 14, 13, 12, 11, 10, 9,  8,  7,  6,  5,  4,  3,  2,  1,  0},
         .size = 32,
         .crc = 0x113fdb5c},
        {.bytes = {0x01, 0xc0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,    0, 0, 0, 0,
                   0x14, 0,    0, 0, 0, 0, 4, 0, 0, 0, 0, 0x14, 0, 0, 0, 0x18,
                   0x28, 0,    0, 0, 0, 0, 0, 0, 2, 0, 0, 0,    0, 0, 0, 0},
         .size = 48,
         .crc = 0xd9963a56},
        {.size = 0, .crc = 0},
    };
    return cr_make_param_array(struct row, rows, ELEMENTSOF(rows));
}

ParameterizedTest(struct row *row, crc32c, is_that_of_RFC_3720_in_one_piece_or_two)
{
    for (size_t cut = 0; cut <= row->size; cut++)
        cr_expect_eq(crc32c(crc32c(0, row->bytes, cut), row->bytes + cut, row->size - cut),
                     row->crc, "cut at %zu", cut);
}
