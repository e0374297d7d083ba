/* SPDX-License-Identifier: MIT */

/* Values as text: numbers, booleans, sizes, time spans, conversions of the time, names of units,
 * and excerpts. value -> text -> value, and what a simpler reader of the same text finds. */

#include <errno.h>
#include <time.h>

#include "fuzz.h"
#include "fuzz_text.h"
#include "greetd/base/clock.h"
#include "greetd/base/parse.h"
#include "greetd/base/text.h"
#include "greetd/base/unit_state.h"
#include "greetd/greeting/wall_clock.h"

#define UNTOUCHED UINT64_C(0x0123456789abcdef)

static void check_result(int r, uint64_t value)
{
    PROPERTY(r == 0 || ((r == -EINVAL || r == -ERANGE) && value == UNTOUCHED));
}

static void check_number(const char *text, uint64_t min, uint64_t max)
{
    uint64_t value = UNTOUCHED;
    int r = parse_unsigned(&value, text, min, max);
    bool is_number = *text && text[strspn(text, "0123456789")] == '\0';

    errno = 0;
    unsigned long long expected = strtoull(text, NULL, 10);
    bool is_within = errno == 0 && expected >= min && expected <= max;
    check_result(r, value);
    PROPERTY(r == (is_number ? is_within ? 0 : -ERANGE : -EINVAL));
    PROPERTY(r < 0 || value == expected);
}

static void check_size(const char *text)
{
    static const char units[] = "BKMGTPE";
    uint64_t value = UNTOUCHED;
    int r = parse_size(&value, text);
    char *end;

    check_result(r, value);
    if (r < 0 || strcmp(text, "infinity") == 0)
        return;
    unsigned long long expected = strtoull(text, &end, 10);
    if (*end)
        expected <<= 10 * (strchr(units, *end) - units);
    PROPERTY(value == expected && value < UINT64_MAX);
}

static void check_timespan_of(uint64_t usec)
{
    uint64_t again = UNTOUCHED;
    char buffer[TIMESPAN_TEXT_MAX];

    PROPERTY(format_timespan(usec, buffer) == buffer);
    PROPERTY(strlen(buffer) < TIMESPAN_TEXT_MAX);
    PROPERTY(parse_timespan(&again, buffer) == 0 && again == usec);
}

/* `A B` is the sum of A and B. */
static void check_timespan(const char *a, const char *b)
{
    uint64_t x = UNTOUCHED, y = UNTOUCHED, sum = UNTOUCHED;
    _cleanup_free_ char *both = NULL;
    int r = parse_timespan(&x, a), q = parse_timespan(&y, b);

    check_result(r, x);
    check_result(q, y);
    if (r < 0 || q < 0)
        return;
    check_timespan_of(x);
    if (x == USEC_INFINITY || y == USEC_INFINITY)
        return;
    PROPERTY(asprintf(&both, "%s %s", a, b) > 0);
    r = parse_timespan(&sum, both);
    PROPERTY(y >= USEC_INFINITY - x ? r == -ERANGE : r == 0 && sum == x + y);
}

static void check_boolean(const char *text)
{
    bool value = false;

    if (parse_boolean(&value, text) == 0)
        PROPERTY(strchr(value ? "1yYtToO" : "0nNfFoO", *text) && *text);
}

static void check_excerpt(const char *text)
{
    static const char *const names[] = {"LingerSec", "StopDelaySec", "Message", "MessageFile"};
    char buffer[TEXT_EXCERPT_MAX];
    const char *nearest = text_nearest(text, names, ELEMENTSOF(names));

    text_excerpt(text, buffer);
    PROPERTY(strlen(buffer) < sizeof(buffer) && fuzz_is_printable(buffer));
    if (fuzz_is_printable(text) && strlen(text) < TEXT_EXCERPT_MAX / 2)
        PROPERTY(strcmp(text, buffer) == 0);
    for (size_t i = 0; i < ELEMENTSOF(names); i++)
        if (strcasecmp(names[i], text) == 0)
            PROPERTY(nearest == names[i]);
}

/* A format of which there is no complaint fits a text of a bounded size at any time. */
static void check_format(const char *format, uint64_t seconds)
{
    size_t offset = SIZE_MAX, length;

    if (*format == '\0' || strlen(format) > WALL_CLOCK_FORMAT_MAX)
        return;
    if (wall_clock_check_format(format, &offset)) {
        PROPERTY(offset <= strlen(format));
        return;
    }
    struct wall_clock clock = {.now_usec = seconds * USEC_PER_SEC + 1};
    const char *text = wall_clock_format(&clock, format, &length);
    PROPERTY(text && length <= 128 * strlen(format));
    if (!strchr(format, '%'))
        PROPERTY(length == strlen(format) && memcmp(text, format, length) == 0);
    wall_clock_deinit(&clock);
}

static void check_unit(const char *name)
{
    size_t offset = SIZE_MAX;

    if (*name == '\0')
        return;
    if (unit_state_check_name(name, &offset))
        PROPERTY(offset <= strlen(name));
    else
        PROPERTY(strlen(name) <= UNIT_NAME_MAX && strchr(name, '.') && fuzz_is_printable(name));
    PROPERTY(unit_state_find(unit_state_name(unit_state_find(name))) == unit_state_find(name));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct fuzz_input input = {bytes, size};
    uint64_t number = fuzz_take_number(&input, 8), other = fuzz_take_number(&input, 4);
    _cleanup_free_ char *a = fuzz_take_text(&input, '\n'), *b = fuzz_take_text(&input, '\n');

    check_timespan_of(number);
    check_timespan(a, b);
    check_number(a, other, number);
    check_number(a, 0, UINT64_MAX);
    check_size(a);
    check_boolean(a);
    check_excerpt(a);
    check_format(b, other);
    check_unit(b);
    return 0;
}
