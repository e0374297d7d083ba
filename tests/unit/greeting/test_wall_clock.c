/* SPDX-License-Identifier: MIT */
#include "greetd/greeting/wall_clock.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "greetd/base/cleanup.h"
#include "greetd/base/clock.h"

/* 1970-09-28 12:00:00.123456 in ZONE. */
#define ZONE     "<+06>-6"
#define NOW_USEC (UINT64_C(23349600) * USEC_PER_SEC + 123456)

static struct wall_clock wall;

static void set_up(void)
{
    setenv("TZ", ZONE, 1);
    tzset();
    wall.now_usec = NOW_USEC;
}

static void tear_down(void)
{
    wall_clock_deinit(&wall);
}

TestSuite(wall_clock, .init = set_up, .fini = tear_down);

static void expect(const char *format, const char *text)
{
    size_t length = 0;
    const char *formatted = wall_clock_format(&wall, format, &length);

    cr_assert_not_null(formatted, "%s", format);
    cr_expect_eq(length, strlen(text), "%s", format);
    cr_expect_arr_eq(formatted, text, strlen(text), "%s", format);
}

Test(wall_clock, is_read_once_in_a_round)
{
    cr_expect_eq(wall_clock_usec(&wall), NOW_USEC);
    cr_expect_eq(wall_clock_usec(&wall), NOW_USEC);

    uint64_t before_usec = clock_now_of(CLOCK_REALTIME);
    wall_clock_begin_round(&wall);
    uint64_t now_usec = wall_clock_usec(&wall);
    cr_expect_geq(now_usec, before_usec);
    while (clock_now_of(CLOCK_REALTIME) == now_usec)
        ;
    cr_expect_eq(wall_clock_usec(&wall), now_usec);
}

Test(wall_clock, formats_the_local_time)
{
    expect("%F %T %z %Z", "1970-09-28 12:00:00 +0600 +06");
    expect("%s", "23349600");
    expect("at %k o'clock\n", "at 12 o'clock\n");
    expect("\xc3\xa4", "\xc3\xa4");
}

/* Over two leap years and both ends of summer time. */
Test(wall_clock, counts_the_local_days)
{
    setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
    tzset();
    wall.now_usec = 12 * 3600 * USEC_PER_SEC;
    for (uint64_t day = 0; day < 3000; day++) {
        cr_assert_eq(wall_clock_day(&wall), day);
        wall.now_usec += 24 * 3600 * USEC_PER_SEC;
    }
    wall.now_usec = UINT64_C(1767221999) * USEC_PER_SEC; /* 2025-12-31 23:59:59 */
    uint64_t before = wall_clock_day(&wall);
    wall.now_usec += USEC_PER_SEC;
    cr_expect_eq(wall_clock_day(&wall), before + 1);
}

/* The kept text is changed here, so that a text that is rendered again shows. */
Test(wall_clock, renders_a_format_once_a_second)
{
    expect("%T", "12:00:00");
    memcpy(wall.texts[0].text.bytes, " 99", 3);
    wall.now_usec += USEC_PER_SEC / 2;
    expect("%T", "99:00:00");
    wall.now_usec += USEC_PER_SEC / 2;
    expect("%T", "12:00:01");
    cr_expect_eq(wall.n_texts, 1);
}

Test(wall_clock, follows_a_clock_that_is_set_back)
{
    expect("%T", "12:00:00");
    wall.now_usec -= USEC_PER_SEC;
    expect("%T", "11:59:59");
}

Test(wall_clock, knows_a_format_by_its_text)
{
    char first[] = "%H", second[] = "%H";

    expect(first, "12");
    expect(second, "12");
    cr_expect_eq(wall.n_texts, 1);
    strcpy(first, "%S");
    expect(first, "00");
    cr_expect_eq(wall.n_texts, 2);
}

Test(wall_clock, has_room_for_any_number_of_formats)
{
    for (unsigned round = 0; round < 3; round++)
        for (unsigned i = 0; i < 3 * WALL_CLOCK_TEXTS; i++) {
            char format[16], text[16];

            sprintf(format, "%u %%H", i);
            sprintf(text, "%u 12", i);
            expect(format, text);
        }
    cr_expect_eq(wall.n_texts, WALL_CLOCK_TEXTS);
}

Test(wall_clock, has_room_for_the_longest_text)
{
    char format[WALL_CLOCK_FORMAT_MAX + 1] = "", text[32 * 99 + 1] = "";
    size_t offset;

    for (size_t i = 0; i < 32; i++) {
        strcat(format, "%99d");
        memset(text + i * 99, '0', 97);
        memcpy(text + i * 99 + 97, "28", 2);
    }
    cr_expect_null(wall_clock_check_format(format, &offset));
    expect(format, text);
}

Test(wall_clock, uses_its_memory_again)
{
    expect("%T", "12:00:00");
    const char *bytes = wall.texts[0].text.bytes;
    for (unsigned i = 0; i < 100; i++) {
        wall.now_usec += USEC_PER_SEC;
        cr_assert_not_null(wall_clock_format(&wall, "%T", &(size_t){0}));
    }
    cr_expect_eq(wall.texts[0].text.bytes, bytes);
}

static const char *check(const char *format)
{
    size_t offset;

    return wall_clock_check_format(format, &offset);
}

/* What strftime(3) does not know it copies. */
static bool is_copied(const char *format)
{
    char text[256] = "";
    const struct tm *local = localtime(&(time_t){23349600});

    return strftime(text, sizeof(text), format, local) > 0 && strcmp(text, format) == 0;
}

Test(wall_clock, accepts_only_what_strftime_knows)
{
    static const char *const prefixes[] = {"%", "%E", "%O", "%_", "%-", "%0", "%^", "%#", "%_-7O"};
    unsigned n = 0;

    for (size_t i = 0; i < ELEMENTSOF(prefixes); i++)
        for (char c = 'A'; c <= 'z'; c++) {
            char format[16];

            sprintf(format, "%s%c", prefixes[i], c);
            if (check(format) == NULL) {
                cr_expect_not(is_copied(format), "%s", format);
                n++;
            }
        }
    cr_expect_gt(n, 200);
}

/* The conversions of strftime(3). */
Test(wall_clock, accepts_all_of_the_manual)
{
    cr_expect_null(check("%a%A%b%B%c%C%d%D%e%F%g%G%h%H%I%j%k%l%m%M%n%p%P%r%R%s%S%t%T%u%U%V%w%W%x"
                         "%X%y%Y%z%Z%%"));
    cr_expect_null(check("%Ec%EC%Ex%EX%Ey%EY%Od%Oe%OH%OI%Om%OM%OS%Ou%OU%OV%Ow%OW%Oy%OB%Ob%Oh"));
    cr_expect_null(check("%_d%-d%0d%^a%#Z%_5d%-^#10A%99Y"));
    cr_expect_null(check("no conversion"));
}

struct bad_row {
    char format[16];
    size_t offset;
    char why[64];
};

ParameterizedTestParameters(wall_clock, explains_a_bad_format)
{
#define UNKNOWN "strftime(3) knows no such conversion"
#define WIDTH   "a width must not have more than two digits"
    static struct bad_row rows[] = {
        {"%", 0, UNKNOWN},         {"%H:%", 3, UNKNOWN},  {"%Q", 0, UNKNOWN},
        {"%%%i", 2, UNKNOWN},      {"%+", 0, UNKNOWN},    {"%N", 0, UNKNOWN},
        {"%:z", 0, UNKNOWN},       {"%E", 0, UNKNOWN},    {"%Ed", 0, UNKNOWN},
        {"%OY", 0, UNKNOWN},       {"%EEY", 0, UNKNOWN},  {"%E5Y", 0, UNKNOWN},
        {"%5_Y", 0, UNKNOWN},      {"%-", 0, UNKNOWN},    {"%5", 0, UNKNOWN},
        {"%\xc3\xa4", 0, UNKNOWN}, {"ab%100d", 2, WIDTH}, {"%_0999d", 0, WIDTH},
        {"%d %", 3, UNKNOWN},
    };
    return cr_make_param_array(struct bad_row, rows, ELEMENTSOF(rows));
}

ParameterizedTest(struct bad_row *row, wall_clock, explains_a_bad_format)
{
    size_t offset = 99;
    const char *why = wall_clock_check_format(row->format, &offset);

    cr_assert_not_null(why, "%s", row->format);
    cr_expect_str_eq(why, row->why, "%s", row->format);
    cr_expect_eq(offset, row->offset, "%s", row->format);
}

Test(wall_clock, accepts_formats_of_up_to_128_bytes)
{
    char format[WALL_CLOCK_FORMAT_MAX + 2] = "";
    size_t offset;

    memset(format, 'a', WALL_CLOCK_FORMAT_MAX);
    cr_expect_null(wall_clock_check_format(format, &offset));
    expect(format, format);
    format[WALL_CLOCK_FORMAT_MAX] = 'a';
    cr_expect_str_eq(wall_clock_check_format(format, &offset),
                     "a format must not be longer than 128 bytes");
    cr_expect_eq(offset, WALL_CLOCK_FORMAT_MAX);
}
