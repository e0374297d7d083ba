/* SPDX-License-Identifier: MIT */
#include "greetd/greeting/wall_clock.h"

#include <string.h>

#include "greetd/base/clock.h"

/* Enough for most texts. */
#define TEXT_CAPACITY_MIN ((size_t)64)

/* Far more than any format of WALL_CLOCK_FORMAT_MAX bytes gives, unless the zone has a huge name.
 */
#define TEXT_CAPACITY_MAX ((size_t)1024 * 1024)

void wall_clock_deinit(struct wall_clock *clock)
{
    for (size_t i = 0; i < clock->n_texts; i++)
        buffer_deinit(&clock->texts[i].text);
    clock->n_texts = 0;
}

void wall_clock_begin_round(struct wall_clock *clock)
{
    clock->now_usec = 0;
}

uint64_t wall_clock_usec(struct wall_clock *clock)
{
    if (clock->now_usec == 0)
        clock->now_usec = clock_now_of(CLOCK_REALTIME);
    return clock->now_usec;
}

/* Local times of the same second share one call of localtime_r(3), which takes a lock. */
static const struct tm *local_time(struct wall_clock *clock, time_t second)
{
    if (clock->second != second || clock->local.tm_mday == 0) {
        clock->second = second;
        localtime_r(&second, &clock->local);
    }
    return &clock->local;
}

uint64_t wall_clock_day(struct wall_clock *clock)
{
    time_t second = (time_t)(wall_clock_usec(clock) / USEC_PER_SEC);

    return (uint64_t)(second + local_time(clock, second)->tm_gmtoff) / 86400;
}

/* Returns the place of FORMAT, or one for it that is not rendered. */
static struct wall_clock_text *find_text(struct wall_clock *clock, const char *format)
{
    struct wall_clock_text *text;

    for (size_t i = 0; i < clock->n_texts; i++)
        if (strcmp(clock->texts[i].format + 1, format) == 0)
            return &clock->texts[i];
    if (clock->n_texts < WALL_CLOCK_TEXTS)
        text = &clock->texts[clock->n_texts++];
    else
        text = &clock->texts[clock->oldest++ % WALL_CLOCK_TEXTS];
    text->format[0] = ' ';
    strcpy(text->format + 1, format);
    text->text.size = 0;
    return text;
}

static int render(struct wall_clock_text *text, const struct tm *local)
{
    struct buffer *buffer = &text->text;

    buffer->size = 0;
    for (size_t room = TEXT_CAPACITY_MIN;; room *= 2) {
        int r = buffer_reserve(buffer, room, TEXT_CAPACITY_MAX);
        if (r < 0)
            return r;
        buffer->size = strftime(buffer->bytes, buffer->capacity, text->format, local);
        if (buffer->size > 0)
            return 0;
    }
}

const char *wall_clock_format(struct wall_clock *clock, const char *format, size_t *ret_length)
{
    time_t second = (time_t)(wall_clock_usec(clock) / USEC_PER_SEC);
    struct wall_clock_text *text = find_text(clock, format);

    if (text->text.size == 0 || text->second != second) {
        if (render(text, local_time(clock, second)) < 0)
            return NULL;
        text->second = second;
    }
    *ret_length = text->text.size - 1;
    return text->text.bytes + 1;
}

/* Skips the conversion at *P, behind its `%`: flags, a width, a modifier and a letter. Returns NULL
 * or the reason why it is none. */
static const char *skip_conversion(const char **p)
{
    const char *letters = "%aAbBcCdDeFgGhHIjklmMnpPrRsStTuUVwWxXyYzZ";

    *p += strspn(*p, "_-0^#");
    size_t digits = strspn(*p, "0123456789");
    if (digits > 2)
        return "a width must not have more than two digits";
    *p += digits;
    if (**p == 'E' || **p == 'O')
        letters = *(*p)++ == 'E' ? "cCxXyY" : "bBdehHImMSuUVwWy";
    if (**p == '\0' || !strchr(letters, **p))
        return "strftime(3) knows no such conversion";
    ++*p;
    return NULL;
}

const char *wall_clock_check_format(const char *format, size_t *ret_offset)
{
    if (strlen(format) > WALL_CLOCK_FORMAT_MAX) {
        *ret_offset = WALL_CLOCK_FORMAT_MAX;
        return "a format must not be longer than 128 bytes";
    }
    for (const char *p = format; (p = strchr(p, '%'));) {
        size_t offset = (size_t)(p++ - format);
        const char *why = skip_conversion(&p);

        if (why) {
            *ret_offset = offset;
            return why;
        }
    }
    return NULL;
}
