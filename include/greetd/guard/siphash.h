/* SPDX-License-Identifier: MIT */
#pragma once

/* SipHash-2-4 (Aumasson and Bernstein, "SipHash: a fast short-input PRF"): a hash whose values
 * nobody can predict or choose without its key. Pure. */

#include <stddef.h>
#include <stdint.h>

/* 16 random bytes. */
struct siphash_key {
    uint64_t k0, k1;
};

/* Returns the hash of SIZE BYTES under KEY. The numbers of the key and of each word of 8 bytes are
 * little-endian, as in the paper. */
uint64_t siphash24(const struct siphash_key *key, const void *bytes, size_t size);
