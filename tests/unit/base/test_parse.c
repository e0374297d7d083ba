/* SPDX-License-Identifier: MIT */
#include "greetd/base/parse.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "greetd/base/cleanup.h"
#include "greetd/base/clock.h"

#define USEC(sec) (UINT64_C(sec) * 1000000)

/* No parser returns this value, so it shows that a failing parser leaves its output unchanged. */
#define UNTOUCHED UINT64_C(0xdeadbeef)

/* Criterion copies a row into the process of its test, and nothing that the row would point to. */
struct row {
    char text[48];
    int result;
    uint64_t number;
};

#define REFUSED(error) (error), UNTOUCHED

ParameterizedTestParameters(parse, parses_times_as_systemd_does)
{
    static struct row rows[] = {
        {"0", 0, 0},
        {"5", 0, USEC(5)},
        {"1usec", 0, 1},
        {"1us", 0, 1},
        {"1\u00b5s", 0, 1},
        {"1\u03bcs", 0, 1},
        {"1msec", 0, 1000},
        {"500ms", 0, 500000},
        {"1s", 0, USEC(1)},
        {"1sec", 0, USEC(1)},
        {"1second", 0, USEC(1)},
        {"2seconds", 0, USEC(2)},
        {"1m", 0, USEC(60)},
        {"1min", 0, USEC(60)},
        {"1minute", 0, USEC(60)},
        {"2minutes", 0, USEC(120)},
        {"1h", 0, USEC(3600)},
        {"1hr", 0, USEC(3600)},
        {"1hour", 0, USEC(3600)},
        {"2hours", 0, USEC(7200)},
        {"1d", 0, USEC(86400)},
        {"1day", 0, USEC(86400)},
        {"2days", 0, USEC(172800)},
        {"1w", 0, USEC(604800)},
        {"1week", 0, USEC(604800)},
        {"2weeks", 0, USEC(1209600)},
        {"1M", 0, USEC(2629800)},
        {"1month", 0, USEC(2629800)},
        {"2months", 0, USEC(5259600)},
        {"1y", 0, USEC(31557600)},
        {"1year", 0, USEC(31557600)},
        {"2years", 0, USEC(63115200)},
        {"2 h", 0, USEC(7200)},
        {"1y 12month", 0, USEC(63115200)},
        {"55s500ms", 0, 55500000},
        {"300ms20s 5day", 0, USEC(432020) + 300000},
        {"1min 30s", 0, USEC(90)},
        {"1min30", 0, USEC(90)},
        {"1\tmin  30\ts", 0, USEC(90)},
        {"1.5", 0, 1500000},
        {"2.5h", 0, USEC(9000)},
        {"0.000001", 0, 1},
        {"0.0000019", 0, 1},
        {"1.9us", 0, 1},
        {"1.5s 1.5ms", 0, 1501500},
        {".5", 0, 500000},
        {"+1", 0, USEC(1)},
        {"1.5 .5", 0, USEC(2)},
        {"1.5s.5ms.5", 0, 2000500},
        {"1s+2.5s +3", 0, 6500000},
        {"infinity", 0, USEC_INFINITY},
        {"18446744073709551614us", 0, UINT64_MAX - 1},
        {"18446744073709551615us", REFUSED(-ERANGE)},
        {"18446744073709551616us", REFUSED(-ERANGE)},
        {"18446744073709551614us 1us", REFUSED(-ERANGE)},
        {"18446744073709551614us 2us", REFUSED(-ERANGE)},
        {"18446744073710s", REFUSED(-ERANGE)},
        {"18446744073709.999999", REFUSED(-ERANGE)},
        {"600000y", REFUSED(-ERANGE)},
        {"", REFUSED(-EINVAL)},
        {" ", REFUSED(-EINVAL)},
        {"-1", REFUSED(-EINVAL)},
        {"s", REFUSED(-EINVAL)},
        {"soon", REFUSED(-EINVAL)},
        {"5 parsecs", REFUSED(-EINVAL)},
        {"5S", REFUSED(-EINVAL)},
        {"5Ms", REFUSED(-EINVAL)},
        {"5mi", REFUSED(-EINVAL)},
        {"5minutesx", REFUSED(-EINVAL)},
        {"5ns", REFUSED(-EINVAL)},
        {"1.", REFUSED(-EINVAL)},
        {"1.s", REFUSED(-EINVAL)},
        {"1. 5", REFUSED(-EINVAL)},
        {"1.-5", REFUSED(-EINVAL)},
        {".", REFUSED(-EINVAL)},
        {".s", REFUSED(-EINVAL)},
        {"+", REFUSED(-EINVAL)},
        {"++1", REFUSED(-EINVAL)},
        {"+ 1", REFUSED(-EINVAL)},
        {"+.5", REFUSED(-EINVAL)},
        {"1+2", REFUSED(-EINVAL)},
        {"1s-2", REFUSED(-EINVAL)},
        {"1.+5", REFUSED(-EINVAL)},
        {"1.5.5", REFUSED(-EINVAL)},
        {"1..5", REFUSED(-EINVAL)},
        {"1e3", REFUSED(-EINVAL)},
        {"0x10", REFUSED(-EINVAL)},
        {"5s,", REFUSED(-EINVAL)},
        {"infinity 1s", REFUSED(-EINVAL)},
        {"1s infinity", REFUSED(-EINVAL)},
        {"Infinity", REFUSED(-EINVAL)},
    };
    return cr_make_param_array(struct row, rows, ELEMENTSOF(rows));
}

ParameterizedTest(struct row *row, parse, parses_times_as_systemd_does)
{
    uint64_t usec = UNTOUCHED;

    cr_expect_eq(parse_timespan(&usec, row->text), row->result, "%s", row->text);
    cr_expect_eq(usec, row->number, "%s: %" PRIu64, row->text, usec);
}

struct time_row {
    uint64_t usec;
    char text[64];
};

ParameterizedTestParameters(parse, formats_times_in_the_largest_units)
{
    static struct time_row rows[] = {
        {0, "0"},
        {1, "1us"},
        {500000, "500ms"},
        {USEC(1), "1s"},
        {USEC(90), "1min 30s"},
        {USEC(3600), "1h"},
        {USEC(86400), "1d"},
        {USEC(604800), "1w"},
        {USEC(31557600), "52w 1d 6h"},
        {USEC(694861) + 1001, "1w 1d 1h 1min 1s 1ms 1us"},
        {UINT64_MAX - 1, "30500568w 6d 8h 1min 49s 551ms 614us"},
        {USEC_INFINITY, "infinity"},
    };
    return cr_make_param_array(struct time_row, rows, ELEMENTSOF(rows));
}

ParameterizedTest(struct time_row *row, parse, formats_times_in_the_largest_units)
{
    char text[TIMESPAN_TEXT_MAX];

    cr_expect_str_eq(format_timespan(row->usec, text), row->text);
}

Test(parse, parses_every_time_that_it_formats)
{
    char text[TIMESPAN_TEXT_MAX];

    /* The steps are no multiple of any unit and cover the whole range. */
    for (uint64_t usec = 1; usec < UINT64_MAX / 3; usec = usec * 3 + 1) {
        uint64_t again = UNTOUCHED;
        format_timespan(usec, text);
        cr_expect_eq(parse_timespan(&again, text), 0, "%s", text);
        cr_expect_eq(again, usec, "%s", text);
    }
    cr_expect_lt(strlen(format_timespan(UINT64_MAX - 1, text)), sizeof(text));
}

ParameterizedTestParameters(parse, parses_numbers_within_limits)
{
    static struct row rows[] = {
        {"1", 0, 1},
        {"1024", 0, 1024},
        {"0007", 0, 7},
        {"0", REFUSED(-ERANGE)},
        {"1025", REFUSED(-ERANGE)},
        {"18446744073709551617", REFUSED(-ERANGE)},
        {"", REFUSED(-EINVAL)},
        {"-1", REFUSED(-EINVAL)},
        {"+1", REFUSED(-EINVAL)},
        {" 1", REFUSED(-EINVAL)},
        {"1 ", REFUSED(-EINVAL)},
        {"1k", REFUSED(-EINVAL)},
        {"0x1", REFUSED(-EINVAL)},
        {"1.0", REFUSED(-EINVAL)},
        {"99999999999999999999999x", REFUSED(-EINVAL)},
    };
    return cr_make_param_array(struct row, rows, ELEMENTSOF(rows));
}

ParameterizedTest(struct row *row, parse, parses_numbers_within_limits)
{
    uint64_t number = UNTOUCHED;

    cr_expect_eq(parse_unsigned(&number, row->text, 1, 1024), row->result, "%s", row->text);
    cr_expect_eq(number, row->number, "%s: %" PRIu64, row->text, number);
}

Test(parse, parses_the_largest_number)
{
    uint64_t number = UNTOUCHED;

    cr_expect_eq(parse_unsigned(&number, "18446744073709551615", 0, UINT64_MAX), 0);
    cr_expect_eq(number, UINT64_MAX);
}

ParameterizedTestParameters(parse, parses_sizes_in_powers_of_1024)
{
    static struct row rows[] = {
        {"0", 0, 0},
        {"1", 0, 1},
        {"1B", 0, 1},
        {"64K", 0, 65536},
        {"1M", 0, 1048576},
        {"1G", 0, 1073741824},
        {"1T", 0, UINT64_C(1) << 40},
        {"1P", 0, UINT64_C(1) << 50},
        {"15E", 0, UINT64_C(15) << 60},
        {"16777215T", 0, UINT64_C(16777215) << 40},
        {"infinity", 0, USEC_INFINITY},
        {"18446744073709551614", 0, UINT64_MAX - 1},
        {"18446744073709551615", REFUSED(-ERANGE)},
        {"16E", REFUSED(-ERANGE)},
        {"16777216T", REFUSED(-ERANGE)},
        {"", REFUSED(-EINVAL)},
        {"K", REFUSED(-EINVAL)},
        {"1k", REFUSED(-EINVAL)},
        {"1KB", REFUSED(-EINVAL)},
        {"1 K", REFUSED(-EINVAL)},
        {"-1K", REFUSED(-EINVAL)},
        {"1.5K", REFUSED(-EINVAL)},
    };
    return cr_make_param_array(struct row, rows, ELEMENTSOF(rows));
}

ParameterizedTest(struct row *row, parse, parses_sizes_in_powers_of_1024)
{
    uint64_t size = UNTOUCHED;

    cr_expect_eq(parse_size(&size, row->text), row->result, "%s", row->text);
    cr_expect_eq(size, row->number, "%s: %" PRIu64, row->text, size);
}

Test(parse, parses_booleans_in_any_case)
{
    static const char *const words[2][8] = {
        {"0", "no", "false", "off", "No", "FALSE", "Off", "nO"},
        {"1", "yes", "true", "on", "Yes", "TRUE", "On", "yEs"},
    };

    for (size_t truth = 0; truth < 2; truth++)
        for (size_t i = 0; i < ELEMENTSOF(words[truth]); i++) {
            bool value = !truth;
            cr_expect_eq(parse_boolean(&value, words[truth][i]), 0, "%s", words[truth][i]);
            cr_expect_eq(value, truth, "%s", words[truth][i]);
        }
}

Test(parse, refuses_text_that_is_not_a_boolean)
{
    static const char *const texts[] = {"", "2", "00", "yess", "ye", "enabled", " yes", "on "};
    bool value = true;

    for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
        cr_expect_eq(parse_boolean(&value, texts[i]), -EINVAL, "%s", texts[i]);
        cr_expect(value);
    }
}
