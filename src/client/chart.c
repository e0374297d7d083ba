/* SPDX-License-Identifier: MIT */
#include "client/chart.h"

#include <inttypes.h>
#include <string.h>

#include "greetd/base/cleanup.h"
#include "greetd/base/text.h"

#define ROWS_MAX    20
#define LABEL_WIDTH 6  /* of `1.5 ms` or `700 us` */
#define BAR_MIN     10 /* columns */

/* The starts of the ranges in a power of ten, in its tenths. */
static const struct scale {
    unsigned n;
    uint8_t starts[6];
} scales[] = {{6, {10, 15, 20, 30, 50, 70}}, {3, {10, 20, 50}}, {1, {10}}};

/* Returns where range INDEX starts; the first starts at 0. */
static uint64_t range_start(const struct scale *scale, unsigned index)
{
    uint64_t start = scale->starts[index % scale->n];

    for (unsigned i = 0; i < index / scale->n; i++)
        start *= 10;
    return index == 0 ? 0 : start / 10;
}

static uint64_t count(const struct histogram *histogram, const struct scale *scale, unsigned index)
{
    return histogram_count(histogram, range_start(scale, index), range_start(scale, index + 1));
}

/* The ranges to print, of which the first and the last are not empty. */
struct chart {
    const struct scale *scale;
    unsigned first, end;
    uint64_t most; /* in one range */
};

static struct chart chart_make(const struct histogram *histogram, const struct scale *scale)
{
    struct chart chart = {.scale = scale};
    uint64_t found = 0;

    for (unsigned i = 0; found < histogram->n; i++) {
        uint64_t n = count(histogram, scale, i);

        if (n == 0)
            continue;
        if (found == 0)
            chart.first = i;
        found += n;
        chart.end = i + 1;
        if (n > chart.most)
            chart.most = n;
    }
    return chart;
}

/* The last scale always fits: a histogram has nine powers of ten. */
static struct chart choose_chart(const struct histogram *histogram)
{
    const struct scale *scale = scales;
    struct chart chart = chart_make(histogram, scale);

    while (chart.end - chart.first > ROWS_MAX)
        chart = chart_make(histogram, ++scale);
    return chart;
}

static void print_label(FILE *stream, uint64_t usec)
{
    const char *unit = usec >= 1000000 ? "s" : usec >= 1000 ? "ms" : "us";
    unsigned per_unit = usec >= 1000000 ? 1000000 : usec >= 1000 ? 1000 : 1;
    int decimals = usec % per_unit != 0; /* only of 1.5 */

    fprintf(stream, "%*.*f %s ", LABEL_WIDTH - 1 - (int)strlen(unit), decimals,
            (double)usec / per_unit, unit);
}

static void print_bar(FILE *stream, uint64_t eighths, bool utf8)
{
    static const char *const parts[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};

    for (; eighths >= 8; eighths -= 8)
        fputs(utf8 ? "█" : "#", stream);
    fputs(utf8 ? parts[eighths] : eighths > 0 ? "#" : "", stream);
}

void chart_print(FILE *stream, const struct histogram *histogram, unsigned columns, bool utf8)
{
    const struct chart chart = choose_chart(histogram);
    char most[TEXT_DECIMAL_MAX];
    unsigned digits = (unsigned)(text_write_decimal(most, chart.most) - most);
    unsigned beside = LABEL_WIDTH + 2 + digits; /* and two spaces */
    unsigned room = columns > beside + BAR_MIN ? columns - beside : BAR_MIN;

    for (unsigned i = chart.first; i < chart.end; i++) {
        uint64_t n = count(histogram, chart.scale, i);
        /* What is there has a part of a bar at least. */
        uint64_t eighths = (n * room * 8 + chart.most - 1) / chart.most;

        print_label(stream, range_start(chart.scale, i));
        print_bar(stream, eighths, utf8);
        fprintf(stream, "%s%" PRIu64 "\n", n > 0 ? " " : "", n);
    }
}
