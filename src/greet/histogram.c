/* SPDX-License-Identifier: MIT */
#include "greet/histogram.h"

#define VALUE_MAX ((UINT64_C(1) << HISTOGRAM_VALUE_BITS) - 1)

/* Values below this have a bucket each. */
#define EXACT (UINT64_C(2) << HISTOGRAM_BUCKET_BITS)

/* How many low bits of VALUE its bucket leaves out of account. */
static unsigned dropped_bits(uint64_t value)
{
    unsigned bits;

    if (value < EXACT)
        return 0;
    bits = 64 - (unsigned)__builtin_clzll(value);
    return bits - (HISTOGRAM_BUCKET_BITS + 1);
}

static uint64_t bucket_of(uint64_t value)
{
    unsigned dropped = dropped_bits(value);

    return ((uint64_t)dropped << HISTOGRAM_BUCKET_BITS) + (value >> dropped);
}

/* The greatest value that falls into the bucket. */
static uint64_t bucket_end(uint64_t bucket)
{
    uint64_t power, leading;

    if (bucket < EXACT)
        return bucket;
    power = (bucket >> HISTOGRAM_BUCKET_BITS) - 1;
    leading = bucket - (power << HISTOGRAM_BUCKET_BITS);
    return ((leading + 1) << power) - 1;
}

void histogram_add(struct histogram *histogram, uint64_t value)
{
    histogram->n++;
    if (value > histogram->max)
        histogram->max = value;
    histogram->buckets[bucket_of(value > VALUE_MAX ? VALUE_MAX : value)]++;
}

uint64_t histogram_quantile(const struct histogram *histogram, uint64_t numerator,
                            uint64_t denominator)
{
    uint64_t rank = (histogram->n * numerator + denominator - 1) / denominator;
    uint64_t n = 0;

    for (uint64_t bucket = 0; bucket < HISTOGRAM_BUCKETS - 1; bucket++) {
        n += histogram->buckets[bucket];
        if (n >= rank && n > 0) {
            uint64_t end = bucket_end(bucket);
            return end < histogram->max ? end : histogram->max;
        }
    }
    return histogram->max;
}
