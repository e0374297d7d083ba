/* SPDX-License-Identifier: MIT */
#include "client/chart.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "greetd/base/cleanup.h"

static void add(struct histogram *histogram, uint64_t usec, unsigned n)
{
    while (n-- > 0)
        histogram_add(histogram, usec);
}

static char *print(const struct histogram *histogram, unsigned columns, bool utf8)
{
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);

    chart_print(stream, histogram, columns, utf8);
    fclose(stream);
    return text;
}

static void expect_chart(const struct histogram *histogram, unsigned columns, bool utf8,
                         const char *expected)
{
    _cleanup_free_ char *text = print(histogram, columns, utf8);

    cr_expect_str_eq(text, expected);
}

Test(chart, has_a_row_for_each_range_between_the_first_and_the_last)
{
    struct histogram histogram = {0};

    add(&histogram, 1000, 3);
    add(&histogram, 1700, 12);
    add(&histogram, 4000, 6);
    expect_chart(&histogram, 22, false,
                 "  1 ms ### 3\n"
                 "1.5 ms ############ 12\n"
                 "  2 ms 0\n"
                 "  3 ms ###### 6\n");
}

Test(chart, has_eighths_of_a_column_in_utf_8)
{
    struct histogram histogram = {0};

    for (uint64_t i = 0; i < 6; i++)
        add(&histogram, (const uint64_t[]){100, 150, 200, 300, 500, 700}[i],
            (const unsigned[]){80, 1, 10, 11, 15, 24}[i]);
    expect_chart(&histogram, 20, true,
                 "100 us ██████████ 80\n"
                 "150 us ▏ 1\n"
                 "200 us █▎ 10\n"
                 "300 us █▍ 11\n"
                 "500 us █▉ 15\n"
                 "700 us ███ 24\n");
}

Test(chart, has_bars_in_a_narrow_terminal)
{
    struct histogram histogram = {0};

    add(&histogram, 20, 1);
    expect_chart(&histogram, 1, false, " 20 us ########## 1\n");
    expect_chart(&histogram, 19, false, " 20 us ########## 1\n");
    expect_chart(&histogram, 20, false, " 20 us ########### 1\n");
}

Test(chart, begins_at_zero)
{
    struct histogram histogram = {0};

    add(&histogram, 0, 1);
    add(&histogram, 1, 1);
    add(&histogram, 2, 1);
    expect_chart(&histogram, 19, false,
                 "  0 us ########## 1\n  1 us ########## 1\n  2 us ########## 1\n");
}

Test(chart, has_wider_ranges_for_more_powers_of_ten)
{
    struct histogram histogram = {0};

    add(&histogram, 10, 1);
    add(&histogram, 15000000, 1);
    _cleanup_free_ char *three = print(&histogram, 80, false);
    cr_expect(strstr(three, "\n200 ms 0\n500 ms 0\n   1 s 0\n"), "%s", three);
    cr_expect(strstr(three, "\n  10 s ###"), "%s", three);

    add(&histogram, 0, 1);
    add(&histogram, 120000000, 1);
    _cleanup_free_ char *one = print(&histogram, 19, false);
    cr_expect_str_eq(one, "  0 us ########## 1\n"
                          " 10 us ########## 1\n"
                          "100 us 0\n"
                          "  1 ms 0\n"
                          " 10 ms 0\n"
                          "100 ms 0\n"
                          "   1 s 0\n"
                          "  10 s ########## 1\n"
                          " 100 s ########## 1\n");
}

Test(chart, counts_everything_longer_in_the_last_range)
{
    struct histogram histogram = {0};

    add(&histogram, UINT64_MAX, 2);
    expect_chart(&histogram, 19, false, " 100 s ########## 2\n");
}

Test(chart, of_nothing_is_empty)
{
    struct histogram histogram = {0};

    expect_chart(&histogram, 80, true, "");
}
