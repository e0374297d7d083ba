/* SPDX-License-Identifier: MIT */
#include "client/measure.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define VALUES 100000

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* The definition in measure.h, by counting. */
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
        uint64_t got = histogram_quantile(histogram, quantiles[i][0], quantiles[i][1]);
        cr_expect(got >= exact && (double)(got - exact) <= (double)exact * 0.01,
                  "%zu values, seed %hu, quantile %zu: %lu instead of %lu", n, seed, i, got, exact);
    }
    free(values);
    free(histogram);
}

Test(histogram, quantiles_are_exact_to_one_percent)
{
    for (unsigned short seed = 0; seed < 5; seed++)
        check_against_exact(VALUES, seed);
}

Test(histogram, quantiles_of_few_values_are_exact_to_one_percent)
{
    for (size_t n = 1; n < 20; n++)
        check_against_exact(n, (unsigned short)n);
}

Test(histogram, every_small_value_is_exact)
{
    for (uint64_t value = 0; value < 256; value++) {
        struct histogram histogram = {0};
        histogram_add(&histogram, value);
        histogram_add(&histogram, 1000000);
        cr_expect_eq(histogram_quantile(&histogram, 1, 2), value);
    }
}

Test(histogram, buckets_are_one_percent_wide_at_every_power_of_two)
{
    for (unsigned bit = 8; bit < HISTOGRAM_VALUE_BITS; bit++)
        for (int step = -1; step <= 1; step++) {
            struct histogram histogram = {0};
            uint64_t value = (UINT64_C(1) << bit) + (uint64_t)(int64_t)step, got;
            histogram_add(&histogram, value);
            histogram_add(&histogram, UINT64_C(100) << bit);
            got = histogram_quantile(&histogram, 1, 2);
            cr_expect(got >= value && (double)(got - value) < (double)value * 0.01,
                      "%lu instead of %lu", got, value);
        }
}

Test(histogram, the_greatest_value_is_exact)
{
    struct histogram histogram = {0};

    histogram_add(&histogram, 1000);
    histogram_add(&histogram, 99999999);
    cr_expect_eq(histogram_quantile(&histogram, 1, 1), 99999999);
    cr_expect_eq(histogram_quantile(&histogram, 999, 1000), 99999999);
}

Test(histogram, a_longer_value_counts_into_the_last_bucket)
{
    struct histogram histogram = {0};

    histogram_add(&histogram, 5);
    histogram_add(&histogram, UINT64_MAX);
    cr_expect_eq(histogram.n, 2);
    cr_expect_eq(histogram_quantile(&histogram, 1, 2), 5);
    cr_expect_eq(histogram_quantile(&histogram, 1, 1), UINT64_MAX);
}

Test(histogram, without_values_all_quantiles_are_zero)
{
    const struct histogram histogram = {0};

    cr_expect_eq(histogram_quantile(&histogram, 1, 2), 0);
    cr_expect_eq(histogram_quantile(&histogram, 1, 1), 0);
}

Test(schedstat, the_first_number_is_the_time)
{
    uint64_t nsec = 0;

    cr_assert_eq(schedstat_parse(&nsec, "251552648 195905449 182\n"), 0);
    cr_expect_eq(nsec, 251552648);
    cr_assert_eq(schedstat_parse(&nsec, "18446744073709551615 0 0\n"), 0);
    cr_expect_eq(nsec, UINT64_MAX);
}

Test(schedstat, other_text_is_refused)
{
    static const char *const texts[] = {"",       "\n",    "x 1 2\n", "-1 2 3\n",
                                        " 1 2 3", "12x 3", "12",      "18446744073709551616 0 0\n"};

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        uint64_t nsec = 7;
        cr_expect_eq(schedstat_parse(&nsec, texts[i]), -EINVAL, "'%s'", texts[i]);
        cr_expect_eq(nsec, 7, "'%s'", texts[i]);
    }
}

Test(schedstat, threads_of_one_name_are_added_up)
{
    struct schedstat schedstat = {0};

    schedstat_add(&schedstat, "worker", 5);
    schedstat_add(&schedstat, "log", 1);
    schedstat_add(&schedstat, "worker", 7);
    schedstat_add(&schedstat, "a name of more than fifteen bytes", 2);
    cr_assert_eq(schedstat.n, 3);
    cr_expect_str_eq(schedstat.entries[0].name, "worker");
    cr_expect_eq(schedstat.entries[0].nsec, 12);
    cr_expect_str_eq(schedstat.entries[2].name, "a name of more ");
    cr_expect_eq(schedstat_sum(&schedstat), 15);
    schedstat_deinit(&schedstat);
    cr_expect_eq(schedstat.n, 0);
}

Test(schedstat, the_time_used_since_is_the_difference)
{
    struct schedstat before = {0}, after = {0};

    schedstat_add(&before, "ended", 100);
    schedstat_add(&before, "fewer", 100);
    schedstat_add(&before, "stays", 10);
    schedstat_add(&after, "stays", 25);
    schedstat_add(&after, "fewer", 60);
    schedstat_add(&after, "starts", 3);
    schedstat_subtract(&after, &before);
    cr_expect_eq(after.entries[0].nsec, 15);
    cr_expect_eq(after.entries[1].nsec, 0);
    cr_expect_eq(after.entries[2].nsec, 3);
    cr_expect_eq(schedstat_sum(&after), 18);
    schedstat_deinit(&before);
    schedstat_deinit(&after);
}

static uint64_t cpu_nsec(void)
{
    struct timespec spent;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent);
    return (uint64_t)spent.tv_sec * 1000000000 + (uint64_t)spent.tv_nsec;
}

/* The kernel updates the numbers of a running thread only at its ticks, hence the tolerance. */
Test(schedstat, reads_the_processor_time_of_this_process)
{
    struct schedstat schedstat = {0};
    uint64_t start = cpu_nsec(), spent;

    prctl(PR_SET_NAME, "a \"name\"");
    while (cpu_nsec() - start < 200000000)
        ;
    cr_assert_eq(schedstat_read(&schedstat, getpid()), 0);
    spent = cpu_nsec();
    cr_expect_str_eq(schedstat.entries[0].name, "a \"name\"");
    cr_expect_leq(schedstat_sum(&schedstat), spent);
    cr_expect_geq(schedstat_sum(&schedstat), spent - 100000000);
    schedstat_deinit(&schedstat);
}

Test(schedstat, a_process_that_has_ended_is_reported)
{
    struct schedstat schedstat = {0};
    pid_t pid = fork();

    if (pid == 0)
        _exit(0);
    waitpid(pid, NULL, 0);
    cr_expect_eq(schedstat_read(&schedstat, pid), -ESRCH);
    cr_expect_eq(schedstat.entries, NULL);
}

Test(histogram, counts_what_is_in_a_range)
{
    struct histogram histogram = {0};

    for (uint64_t i = 0; i < 300; i++)
        histogram_add(&histogram, i);
    histogram_add(&histogram, UINT64_MAX);
    cr_expect_eq(histogram_count(&histogram, 0, UINT64_MAX), 301);
    cr_expect_eq(histogram_count(&histogram, 0, 1), 1);
    cr_expect_eq(histogram_count(&histogram, 100, 200), 100);
    cr_expect_eq(histogram_count(&histogram, 256, 300), 44);
    cr_expect_eq(histogram_count(&histogram, 300, UINT64_C(1) << HISTOGRAM_VALUE_BITS), 1);
    cr_expect_eq(histogram_count(&histogram, UINT64_C(1) << HISTOGRAM_VALUE_BITS, UINT64_MAX), 0);
}
