/* SPDX-License-Identifier: MIT */
#include "greetd/base/parse.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "greetd/base/cleanup.h"
#include "greetd/base/clock.h"

#define DIGITS     "0123456789"
#define WHITESPACE " \t\n\r"

#define USEC_PER_MSEC UINT64_C(1000)
#define USEC_PER_MIN  (60 * USEC_PER_SEC)
#define USEC_PER_HOUR (60 * USEC_PER_MIN)
#define USEC_PER_DAY  (24 * USEC_PER_HOUR)
#define USEC_PER_WEEK (7 * USEC_PER_DAY)
/* A month has 30.44 days and a year 365.25, see systemd.time(7). */
#define USEC_PER_MONTH (2629800 * USEC_PER_SEC)
#define USEC_PER_YEAR  (31557600 * USEC_PER_SEC)

static const struct {
    const char *names[5]; /* NULL behind the last */
    uint64_t usec;
} time_units[] = {
    /* U+00B5, the micro sign, is on keyboards; Unicode prefers U+03BC, the letter mu. */
    {{"usec", "us", "\u00b5s", "\u03bcs"}, 1},
    {{"msec", "ms"}, USEC_PER_MSEC},
    {{"seconds", "second", "sec", "s"}, USEC_PER_SEC},
    {{"minutes", "minute", "min", "m"}, USEC_PER_MIN},
    {{"hours", "hour", "hr", "h"}, USEC_PER_HOUR},
    {{"days", "day", "d"}, USEC_PER_DAY},
    {{"weeks", "week", "w"}, USEC_PER_WEEK},
    {{"months", "month", "M"}, USEC_PER_MONTH},
    {{"years", "year", "y"}, USEC_PER_YEAR},
};

/* Reads one digit or more, and moves *P past them. */
static int read_digits(const char **p, uint64_t *ret)
{
    uint64_t number = 0;
    size_t n = strspn(*p, DIGITS);

    if (n == 0)
        return -EINVAL;
    for (size_t i = 0; i < n; i++)
        if (__builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, (uint64_t)((*p)[i] - '0'), &number))
            return -ERANGE;
    *p += n;
    *ret = number;
    return 0;
}

int parse_unsigned(uint64_t *ret, const char *text, uint64_t min, uint64_t max)
{
    uint64_t number;

    if (text[strspn(text, DIGITS)] != '\0')
        return -EINVAL;
    int r = read_digits(&text, &number);
    if (r < 0)
        return r;
    if (number < min || number > max)
        return -ERANGE;
    *ret = number;
    return 0;
}

int parse_boolean(bool *ret, const char *text)
{
    static const char *const words[][2] = {
        {"0", "1"}, {"no", "yes"}, {"false", "true"}, {"off", "on"}};

    for (size_t i = 0; i < ELEMENTSOF(words); i++)
        for (size_t truth = 0; truth < 2; truth++)
            if (strcasecmp(text, words[i][truth]) == 0) {
                *ret = truth;
                return 0;
            }
    return -EINVAL;
}

int parse_size(uint64_t *ret, const char *text)
{
    static const char units[] = "BKMGTPE";
    uint64_t number;
    unsigned shift = 0;

    if (strcmp(text, "infinity") == 0) {
        *ret = UINT64_MAX;
        return 0;
    }

    int r = read_digits(&text, &number);
    if (r < 0)
        return r;
    if (*text != '\0') {
        const char *unit = strchr(units, *text);
        if (!unit || text[1] != '\0')
            return -EINVAL;
        shift = 10 * (unsigned)(unit - units);
    }
    if (number > (UINT64_MAX - 1) >> shift)
        return -ERANGE;
    *ret = number << shift;
    return 0;
}

/* Finds the unit of LENGTH bytes at NAME. Returns its microseconds, or 0 if there is none. */
static uint64_t find_unit(const char *name, size_t length)
{
    for (size_t i = 0; i < ELEMENTSOF(time_units); i++)
        for (size_t j = 0; time_units[i].names[j]; j++)
            if (strncmp(time_units[i].names[j], name, length) == 0 &&
                time_units[i].names[j][length] == '\0')
                return time_units[i].usec;
    return 0;
}

/* Reads an optional unit and moves *P past it. Without a unit, a blank must precede the next
 * number: `1.5.5` is none. */
static int read_unit(const char **p, uint64_t *ret_usec)
{
    const char *name = *p + strspn(*p, WHITESPACE);
    size_t length = strcspn(name, DIGITS WHITESPACE ".+");

    if (length == 0) {
        if (name == *p && *name != '\0')
            return -EINVAL;
        *ret_usec = USEC_PER_SEC;
        return 0;
    }
    *ret_usec = find_unit(name, length);
    *p = name + length;
    return *ret_usec > 0 ? 0 : -EINVAL;
}

/* Returns the fraction of UNIT that the N digits after a decimal point stand for, in microseconds.
 */
static uint64_t fraction_of(uint64_t unit, const char *digits, size_t n)
{
    uint64_t usec = 0;

    for (size_t i = 0; i < n && unit > 0; i++) {
        unit /= 10;
        usec += (uint64_t)(digits[i] - '0') * unit;
    }
    return usec;
}

/* Reads one number with its fraction and unit, such as `1.5 h`, `.5` or `+1`, and moves *P past
 * them. */
static int read_span(const char **p, uint64_t *ret_usec)
{
    uint64_t number = 0, unit, usec;
    const char *fraction = NULL;
    size_t n_fraction = 0;
    int r;

    if (**p != '.') {
        *p += **p == '+';
        r = read_digits(p, &number);
        if (r < 0)
            return r;
    }
    if (**p == '.') {
        fraction = *p + 1;
        n_fraction = strspn(fraction, DIGITS);
        if (n_fraction == 0)
            return -EINVAL;
        *p = fraction + n_fraction;
    }

    r = read_unit(p, &unit);
    if (r < 0)
        return r;
    if (__builtin_mul_overflow(number, unit, &usec) ||
        __builtin_add_overflow(usec, fraction_of(unit, fraction, n_fraction), &usec))
        return -ERANGE;
    *ret_usec = usec;
    return 0;
}

int parse_timespan(uint64_t *ret_usec, const char *text)
{
    const char *p = text;
    uint64_t sum = 0;

    if (strcmp(text, "infinity") == 0) {
        *ret_usec = USEC_INFINITY;
        return 0;
    }

    do {
        uint64_t usec;
        int r = read_span(&p, &usec);
        if (r < 0)
            return r;
        if (__builtin_add_overflow(sum, usec, &sum) || sum == USEC_INFINITY)
            return -ERANGE;
        p += strspn(p, WHITESPACE);
    } while (*p != '\0');

    *ret_usec = sum;
    return 0;
}

const char *format_timespan(uint64_t usec, char *buffer)
{
    static const struct {
        const char *name;
        uint64_t usec;
    } units[] = {
        {"w", USEC_PER_WEEK},
        {"d", USEC_PER_DAY},
        {"h", USEC_PER_HOUR},
        {"min", USEC_PER_MIN},
        {"s", USEC_PER_SEC},
        {"ms", USEC_PER_MSEC},
        {"us", 1},
    };

    if (usec == USEC_INFINITY)
        return strcpy(buffer, "infinity");
    if (usec == 0)
        return strcpy(buffer, "0");

    char *p = buffer;
    for (size_t i = 0; i < ELEMENTSOF(units); i++) {
        uint64_t n = usec / units[i].usec;
        usec %= units[i].usec;
        if (n > 0)
            p += sprintf(p, "%s%" PRIu64 "%s", p == buffer ? "" : " ", n, units[i].name);
    }
    return buffer;
}
