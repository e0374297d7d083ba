/* SPDX-License-Identifier: MIT */
#include "greetd/greeting/fortune.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <string.h>

#include "greetd/base/cleanup.h"
#include "greetd/base/clock.h"
#include "support/fake_prometheus.h"
#include "support/seccomp_deny.h"

TestSuite(fortune);

static struct diagnostics diagnostics, remarks;

/* Divides TEXT into the entries of *RET. Returns what fortune_split() returns. */
static int split(struct greeting **ret, const char *text, bool daily, bool expand)
{
    struct greeting *greeting = greeting_new();

    diagnostics_deinit(&diagnostics);
    diagnostics_deinit(&remarks);
    cr_assert(greeting && (greeting->bytes = strdup(text)));
    greeting->size = strlen(text);
    struct template_errors errors =
        template_errors_in(greeting->bytes, "/f", "c:1", "MessageFile", &diagnostics);
    *ret = greeting;
    return fortune_split(greeting, daily, expand, &errors, &remarks);
}

struct split_row {
    char text[48];
    char entries[3][16];
    size_t n;
};

ParameterizedTestParameters(fortune, has_the_entries_between_the_dividers)
{
    static struct split_row rows[] = {
        {"one\n", {"one\n"}, 1},
        {"one", {"one"}, 1},
        {"one\n%\ntwo\n", {"one\n", "two\n"}, 2},
        {"one\n%\ntwo\n%\n", {"one\n", "two\n"}, 2},
        {"%\none\n%\n%\ntwo\n%", {"one\n", "two\n"}, 2},
        {"one\r\n%\r\ntwo\r\n", {"one\r\n", "two\r\n"}, 2},
        {"100 %\n%\n%%\n%\n %\n", {"100 %\n", "%%\n", " %\n"}, 3},
        {"\n%\na\n\nb\n", {"\n", "a\n\nb\n"}, 2},
    };
    return cr_make_param_array(struct split_row, rows, ELEMENTSOF(rows));
}

ParameterizedTest(struct split_row *row, fortune, has_the_entries_between_the_dividers)
{
    for (unsigned expand = 0; expand < 2; expand++) {
        _cleanup_(greeting_unrefp) struct greeting *greeting = NULL;

        cr_assert_eq(split(&greeting, row->text, false, expand), 0);
        cr_assert_eq(greeting->n_entries, row->n);
        for (size_t i = 0; i < row->n; i++) {
            cr_expect_eq(greeting->entries[i].size, strlen(row->entries[i]));
            cr_expect_arr_eq(greeting->entries[i].bytes, row->entries[i], strlen(row->entries[i]));
        }
    }
}

Test(fortune, needs_an_entry)
{
    static const char *const texts[] = {"", "%", "%\n%\n"};

    for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
        _cleanup_(greeting_unrefp) struct greeting *greeting = NULL;

        cr_expect_eq(split(&greeting, texts[i], false, false), -EINVAL);
        cr_assert_eq(diagnostics.n_lines, 1);
        cr_expect_str_eq(diagnostics.lines[0], "c:1: MessageFile=/f:1: no entry at byte 1");
    }
}

Test(fortune, names_each_bad_variable_and_each_long_entry_by_its_line)
{
    _cleanup_(greeting_unrefp) struct greeting *greeting = NULL;
    char text[700];

    strcpy(text, "one\n%\n$a\n%\n");
    memset(text + 11, 'x', 600);
    strcpy(text + 611, "\n%\nand $b\n");
    cr_expect_eq(split(&greeting, text, false, true), -EINVAL);
    cr_assert_eq(diagnostics.n_lines, 2);
    cr_expect_str_eq(diagnostics.lines[0], "c:1: MessageFile=/f:3: unknown variable $a at byte 1");
    cr_expect_str_eq(diagnostics.lines[1], "c:1: MessageFile=/f:7: unknown variable $b at byte 5");
    cr_assert_eq(remarks.n_lines, 1);
    cr_expect_str_eq(remarks.lines[0], "c:1: MessageFile=/f:5: remark: an entry of 601 bytes is "
                                       "longer than the 512 that RFC 865 recommends");
}

Test(fortune, picks_every_entry_at_random)
{
    _cleanup_(greeting_unrefp) struct greeting *greeting = NULL;
    struct fortune_random random;
    unsigned counts[3] = {0};

    fortune_random_init(&random);
    cr_assert_eq(split(&greeting, "a\n%\nb\n%\nc\n", false, false), 0);
    for (unsigned i = 0; i < 3000; i++)
        counts[fortune_pick(greeting, &random, NULL) - greeting->entries]++;
    /* A fair choice is outside of this once in 10^20 runs. */
    for (unsigned i = 0; i < 3; i++)
        cr_expect(counts[i] > 700 && counts[i] < 1300, "%u", counts[i]);
}

Test(fortune, has_another_entry_each_day_and_the_same_all_day)
{
    _cleanup_(greeting_unrefp) struct greeting *greeting = NULL;
    struct wall_clock clock = {.now_usec = 0};
    const uint64_t noon_usec = UINT64_C(20000) * 86400000000 + UINT64_C(43200000000);

    setenv("TZ", "UTC", 1);
    tzset();
    cr_assert_eq(split(&greeting, "a\n%\nb\n%\nc\n", true, false), 0);
    clock.now_usec = noon_usec;
    const struct greeting *today = fortune_pick(greeting, NULL, &clock);
    clock.now_usec = noon_usec + UINT64_C(43199000000);
    cr_expect_eq(fortune_pick(greeting, NULL, &clock), today);
    clock.now_usec = noon_usec + UINT64_C(43200000000);
    cr_expect_neq(fortune_pick(greeting, NULL, &clock), today);
}

Test(fortune, gives_each_entry_a_day_before_any_has_a_second)
{
    static const size_t sizes[] = {1, 2, 3, 10, 366, 15217};

    for (size_t i = 0; i < ELEMENTSOF(sizes); i++) {
        bool *seen = calloc(sizes[i], sizeof(bool));

        for (uint64_t day = 46000; day < 46000 + sizes[i]; day++) {
            size_t index = fortune_of_day(day, sizes[i]);

            cr_assert_lt(index, sizes[i]);
            cr_assert_not(seen[index]);
            seen[index] = true;
        }
        free(seen);
    }
}

/* Early at boot the kernel has no random bytes. */
Test(fortune, begins_at_the_time_where_there_is_no_random_number)
{
    struct fortune_random random = {.seed = {1, 2, 3}};

    seccomp_deny(SYS_getrandom, 1, sizeof(random.seed), EAGAIN);
    unsigned short before = (unsigned short)clock_now();
    fortune_random_init(&random);
    cr_expect_lt((unsigned short)(random.seed[0] - before), 60000);
    cr_expect_eq(random.seed[1], 0);
    cr_expect_eq(random.seed[2], 0);
}
