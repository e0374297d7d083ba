/* SPDX-License-Identifier: MIT */
#include "greetd/greeting/fortune.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "greetd/base/clock.h"
#include "greetd/greeting/template.h"

/* A prime larger than the number of entries of any file, so that its multiples visit all of them.
 */
#define STEP UINT64_C(2654435761)

void fortune_random_init(struct fortune_random *random)
{
    *random = (struct fortune_random){.seed = {0}};
    /* Early at boot there are no random bytes yet. */
    if (getrandom(random->seed, sizeof(random->seed), GRND_NONBLOCK) < 0)
        random->seed[0] = (unsigned short)clock_now();
}

/* Returns the line behind the one at LINE, or END. */
static const char *next_line(const char *line, const char *end)
{
    const char *newline = memchr(line, '\n', (size_t)(end - line));

    return newline ? newline + 1 : end;
}

/* Whether the line from LINE to NEXT has nothing but a `%`. */
static bool is_divider(const char *line, const char *next)
{
    size_t length = (size_t)(next - line);

    while (length > 0 && (line[length - 1] == '\n' || line[length - 1] == '\r'))
        length--;
    return length == 1 && *line == '%';
}

/* Finds the next entry that is not empty, from *P on, and moves *P behind it. */
static bool next_entry(const char **p, const char *end, const char **ret_text, size_t *ret_size)
{
    while (*p < end) {
        const char *begin = *p, *line = *p, *next;

        for (; line < end; line = next) {
            next = next_line(line, end);
            if (is_divider(line, next))
                break;
        }
        *p = line < end ? next_line(line, end) : end;
        *ret_text = begin;
        *ret_size = (size_t)(line - begin);
        if (*ret_size > 0)
            return true;
    }
    return false;
}

static int append(struct greeting *greeting, const struct greeting *entry)
{
    size_t n = greeting->n_entries;

    /* Twice as long at each power of two. */
    if ((n & (n - 1)) == 0) {
        struct greeting *grown =
            reallocarray(greeting->entries, n > 0 ? 2 * n : 1, sizeof(*greeting->entries));
        if (!grown)
            return -ENOMEM;
        greeting->entries = grown;
    }
    greeting->entries[greeting->n_entries++] = *entry;
    greeting->needs |= entry->needs;
    return 0;
}

/* Compiles an entry and moves its memory to GREETING. */
static int append_expanded(struct greeting *greeting, const char *text, size_t size,
                           struct template_errors *errors)
{
    _cleanup_(greeting_unrefp) struct greeting *entry = NULL;

    int r = template_expand_part(&entry, text, size, errors);
    if (r >= 0)
        r = append(greeting, entry);
    if (r < 0)
        return r;
    entry->bytes = NULL;
    entry->pieces = NULL;
    entry->n_pieces = 0;
    return 0;
}

static int add_entry(struct greeting *greeting, const char *text, size_t size,
                     struct template_errors *errors)
{
    struct greeting entry = {.bytes = (char *)text, .size = size};

    return greeting->entries_own ? append_expanded(greeting, text, size, errors)
                                 : append(greeting, &entry);
}

int fortune_split(struct greeting *greeting, bool daily, bool expand,
                  struct template_errors *errors, struct diagnostics *remarks)
{
    const char *p = greeting->bytes, *end = p + greeting->size, *text;
    size_t size;
    int result = 0;

    greeting->daily = daily;
    greeting->entries_own = expand;
    while (result != -ENOMEM && next_entry(&p, end, &text, &size)) {
        if (remarks && size > FORTUNE_SIZE_RECOMMENDED)
            template_errors_remark(errors, text, size, remarks);
        int r = add_entry(greeting, text, size, errors);
        result = r < 0 ? r : result;
    }
    if (result >= 0 && greeting->n_entries == 0) {
        template_errors_add(errors, greeting->bytes, "no entry", NULL);
        return -EINVAL;
    }
    if (result >= 0 && expand)
        free(TAKE_PTR(greeting->bytes));
    return result;
}

size_t fortune_of_day(uint64_t day, size_t n)
{
    return (size_t)(day % n * STEP % n);
}

const struct greeting *fortune_pick(const struct greeting *greeting, struct fortune_random *random,
                                    struct wall_clock *clock)
{
    long number;

    if (greeting->daily)
        return &greeting->entries[fortune_of_day(wall_clock_day(clock), greeting->n_entries)];
    (void)nrand48_r(random->seed, &random->data, &number);
    return &greeting->entries[(size_t)number % greeting->n_entries];
}
