/* SPDX-License-Identifier: MIT */
#pragma once

/* The checksum CRC32c of RFC 4960 Appendix B, which a PROXY header may have. Pure. */

#include <stddef.h>
#include <stdint.h>

/* Returns the checksum of the SIZE bytes at BYTES, or of those behind others whose checksum is CRC
 * (0: there are none). */
uint32_t crc32c(uint32_t crc, const void *bytes, size_t size);
