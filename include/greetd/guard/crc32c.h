/* SPDX-License-Identifier: MIT */
#pragma once

/* The checksum CRC32c of RFC 4960 Appendix B, which a PROXY header may have. Pure. */

#include <stddef.h>
#include <stdint.h>

/* Returns the checksum of the SIZE bytes at BYTES, or of those behind others whose checksum is CRC
 * (0: there are none). */
static inline uint32_t crc32c(uint32_t crc, const void *bytes, size_t size)
{
    /* The remainders of four bits, by the polynomial 0x1edc6f41 with its bits reversed. A header is
     * too short for a table of 256 remainders to be worth its place in the cache. */
    static const uint32_t remainders[16] = {
        0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
        0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
        0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
    };
    const unsigned char *p = bytes;

    crc = ~crc;
    for (size_t i = 0; i < size; i++) {
        crc ^= p[i];
        crc = crc >> 4 ^ remainders[crc & 0xf];
        crc = crc >> 4 ^ remainders[crc & 0xf];
    }
    return ~crc;
}
