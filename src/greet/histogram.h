/* SPDX-License-Identifier: MIT */
#pragma once

/* A histogram of latencies in the manner of HdrHistogram: linear within each power of two, so that
 * the error is relative and every quantile is told to better than 1 %, whatever the spread, in a
 * fixed amount of memory. Nothing is sampled or averaged away. */

#include <stdint.h>

/* Each power of two has 128 buckets, so a bucket is at most 1/128 of its value wide. The first two
 * hundred and fifty-six values have one each. */
#define HISTOGRAM_BUCKET_BITS 7

/* 2^27 us are 134 seconds; what is longer counts into the last bucket. */
#define HISTOGRAM_VALUE_BITS 27

#define HISTOGRAM_BUCKETS                                                                          \
    ((HISTOGRAM_VALUE_BITS - HISTOGRAM_BUCKET_BITS + 1) << HISTOGRAM_BUCKET_BITS)

/* All zero is an empty one. */
struct histogram {
    uint64_t n;
    uint64_t max;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

/* Counts one value, in microseconds or any other unit. */
void histogram_add(struct histogram *histogram, uint64_t value);

/* The quantile NUMERATOR/DENOMINATOR (99/100 is p99): the smallest value that at least this part of
 * all values do not exceed. What is returned is never below it, and less than 1 % above it while it
 * is less than 2^HISTOGRAM_VALUE_BITS. 0 if the histogram is empty. */
uint64_t histogram_quantile(const struct histogram *histogram, uint64_t numerator,
                            uint64_t denominator);
