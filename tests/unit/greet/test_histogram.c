/* SPDX-License-Identifier: MIT */
#include "greet/histogram.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#define VALUES 100000

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* The definition in histogram.h, by counting. */
static uint64_t exact_quantile(const uint64_t *sorted, size_t n, uint64_t numerator,
                               uint64_t denominator)
{
    size_t rank = (size_t)((n * numerator + denominator - 1) / denominator);

    return sorted[rank > 0 ? rank - 1 : 0];
}

/* Values of all magnitudes up to 100 s. */
static uint64_t any_value(unsigned short state[3])
{
    uint64_t value = (uint64_t)nrand48(state) * 2147483648 + (uint64_t)nrand48(state);

    return (value >> nrand48(state) % 61) % 100000001;
}

static void check_against_exact(size_t n, unsigned short seed)
{
    static const uint64_t quantiles[][2] = {{0, 1},    {1, 100},    {1, 2},        {9, 10},
                                            {99, 100}, {999, 1000}, {9999, 10000}, {1, 1}};
    unsigned short state[3] = {seed, 2, 3};
    struct histogram *histogram = calloc(1, sizeof(*histogram));
    uint64_t *values = calloc(n, sizeof(*values));

    for (size_t i = 0; i < n; i++) {
        values[i] = any_value(state);
        histogram_add(histogram, values[i]);
    }
    qsort(values, n, sizeof(*values), compare);
    for (size_t i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++) {
        uint64_t exact = exact_quantile(values, n, quantiles[i][0], quantiles[i][1]);
        uint64_t last_status = histogram_quantile(histogram, quantiles[i][0], quantiles[i][1]);
        cr_expect(last_status >= exact && (double)(last_status - exact) <= (double)exact * 0.01,
                  "%zu values, seed %hu, quantile %zu: %lu instead of %lu", n, seed, i, last_status,
                  exact);
    }
    free(values);
    free(histogram);
}

Test(greet_histogram, quantiles_are_exact_to_one_percent)
{
    for (unsigned short seed = 0; seed < 5; seed++)
        check_against_exact(VALUES, seed);
}

Test(greet_histogram, quantiles_of_few_values_are_exact_to_one_percent)
{
    for (size_t n = 1; n < 20; n++)
        check_against_exact(n, (unsigned short)n);
}

Test(greet_histogram, every_small_value_is_told_exactly)
{
    for (uint64_t value = 0; value < 256; value++) {
        struct histogram histogram = {0};
        histogram_add(&histogram, value);
        histogram_add(&histogram, 1000000);
        cr_expect_eq(histogram_quantile(&histogram, 1, 2), value);
    }
}

Test(greet_histogram, buckets_are_one_percent_wide_at_every_power_of_two)
{
    for (unsigned bit = 8; bit < HISTOGRAM_VALUE_BITS; bit++)
        for (int step = -1; step <= 1; step++) {
            struct histogram histogram = {0};
            uint64_t value = (UINT64_C(1) << bit) + (uint64_t)(int64_t)step, last_status;
            histogram_add(&histogram, value);
            histogram_add(&histogram, UINT64_C(100) << bit);
            last_status = histogram_quantile(&histogram, 1, 2);
            cr_expect(last_status >= value && (double)(last_status - value) < (double)value * 0.01,
                      "%lu instead of %lu", last_status, value);
        }
}

Test(greet_histogram, the_greatest_value_is_exact)
{
    struct histogram histogram = {0};

    histogram_add(&histogram, 1000);
    histogram_add(&histogram, 99999999);
    cr_expect_eq(histogram_quantile(&histogram, 1, 1), 99999999);
    cr_expect_eq(histogram_quantile(&histogram, 999, 1000), 99999999);
}

Test(greet_histogram, what_is_too_long_counts_as_the_longest)
{
    struct histogram histogram = {0};

    histogram_add(&histogram, 5);
    histogram_add(&histogram, UINT64_MAX);
    cr_expect_eq(histogram.n, 2);
    cr_expect_eq(histogram_quantile(&histogram, 1, 2), 5);
    cr_expect_eq(histogram_quantile(&histogram, 1, 1), UINT64_MAX);
}

Test(greet_histogram, without_values_all_quantiles_are_zero)
{
    const struct histogram histogram = {0};

    cr_expect_eq(histogram_quantile(&histogram, 1, 2), 0);
    cr_expect_eq(histogram_quantile(&histogram, 1, 1), 0);
}
