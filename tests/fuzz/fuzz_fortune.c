/* SPDX-License-Identifier: MIT */

/* Fortune files: the entries in their order, with the dividers between them, are the file; a pick
 * is one of the entries; each has its day. */

#include <errno.h>

#include "fuzz.h"
#include "fuzz_greeting.h"
#include "fuzz_text.h"
#include "greetd/base/clock.h"
#include "greetd/greeting/fortune.h"

/* Whether there are only dividers from P to END. */
static bool are_dividers(const char *p, const char *end)
{
    while (p < end) {
        if (*p++ != '%')
            return false;
        while (p < end && *p == '\r')
            p++;
        if (p < end && *p++ != '\n')
            return false;
    }
    return true;
}

/* Whether a line of the SIZE bytes at TEXT is a divider. */
static bool has_divider(const char *text, size_t size)
{
    const char *end = text + size;

    for (const char *line = text, *next; line < end; line = next) {
        next = memchr(line, '\n', (size_t)(end - line));
        next = next ? next + 1 : end;
        if (are_dividers(line, next))
            return true;
    }
    return false;
}

static void check_entries(const struct greeting *greeting)
{
    const char *p = greeting->bytes, *end = p + greeting->size;

    for (size_t i = 0; i < greeting->n_entries; i++) {
        const struct greeting *entry = &greeting->entries[i];
        PROPERTY(entry->bytes >= p && entry->size > 0 && entry->bytes + entry->size <= end);
        PROPERTY(are_dividers(p, entry->bytes));
        PROPERTY(!has_divider(entry->bytes, entry->size));
        PROPERTY(i == 0 || entry->bytes > p);
        p = entry->bytes + entry->size;
    }
    PROPERTY(are_dividers(p, end));
}

static void check_picks(const struct greeting *greeting, uint64_t usec)
{
    struct fortune_random random = {.seed = {(unsigned short)usec}};
    struct wall_clock clock = {.now_usec = usec + 1};

    for (size_t i = 0; i < 3; i++) {
        const struct greeting *entry = fortune_pick(greeting, &random, &clock);
        PROPERTY(entry >= greeting->entries && entry < greeting->entries + greeting->n_entries);
        PROPERTY(!greeting->daily || entry == fortune_pick(greeting, &random, &clock));
    }
    wall_clock_deinit(&clock);
}

/* N days in a row have N different entries. */
static void check_days(uint64_t day, size_t n)
{
    bool seen[256] = {false};

    if (n > sizeof(seen))
        return;
    for (size_t i = 0; i < n; i++) {
        size_t entry = fortune_of_day(day - day % n + i, n);
        PROPERTY(entry < n && !seen[entry]);
        seen[entry] = true;
    }
}

/* The entries are compiled one by one, with the errors that they have together. */
static void check_expanded(const uint8_t *bytes, size_t size, size_t n_plain)
{
    _cleanup_(greeting_unrefp) struct greeting *greeting = fuzz_file_greeting(bytes, size);
    _cleanup_(diagnostics_deinit) struct diagnostics diagnostics = DIAGNOSTICS_NULL;
    struct template_errors errors =
        template_errors_in(greeting->bytes, "/file", "f:1", "MessageFile", &diagnostics);

    int r = fortune_split(greeting, false, true, &errors, NULL);
    PROPERTY(template_errors_end(&errors, r) == r);
    PROPERTY(r == 0 || r == -EINVAL);
    PROPERTY((r == 0) == (diagnostics.n_errors == 0));
    fuzz_check_lines(&diagnostics, "f:1: MessageFile=/file:");
    PROPERTY(r < 0 || greeting->n_entries == n_plain);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct fuzz_input input = {bytes, size};
    bool daily = fuzz_take_number(&input, 1) & 1;
    uint64_t usec = fuzz_take_number(&input, 6);
    _cleanup_(greeting_unrefp) struct greeting *greeting =
        fuzz_file_greeting(input.bytes, input.size);
    _cleanup_(diagnostics_deinit) struct diagnostics diagnostics = DIAGNOSTICS_NULL,
                                                     remarks = DIAGNOSTICS_NULL;
    struct template_errors errors =
        template_errors_in(greeting->bytes, "/file", "f:1", "MessageFile", &diagnostics);

    int r = fortune_split(greeting, daily, false, &errors, &remarks);
    PROPERTY(r == (greeting->n_entries > 0 ? 0 : -EINVAL));
    PROPERTY(r == 0 || diagnostics.n_errors == 1);
    fuzz_check_lines(&diagnostics, "f:1: MessageFile=/file:");
    fuzz_check_lines(&remarks, "f:1: MessageFile=/file:");
    check_entries(greeting);
    if (r == 0) {
        check_picks(greeting, usec);
        check_days(usec, greeting->n_entries);
    }
    check_expanded(input.bytes, input.size, greeting->n_entries);
    return 0;
}
