/* SPDX-License-Identifier: MIT */
#include "greetd/greeting/units.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "greetd/greeting/fortune.h"
#include "greetd/greeting/render.h"
#include "greetd/greeting/template.h"

static struct greeting *compile(const char *text)
{
    struct diagnostics diagnostics = DIAGNOSTICS_NULL;
    struct greeting *greeting = NULL;

    cr_assert_eq(template_compile(&greeting, text, "f:1", "Message", &diagnostics), 0);
    return greeting;
}

static void expect_rendered(const struct greeting *greeting, const char *text)
{
    const struct variable_client client = {.number = 7};
    struct buffer buffer = BUFFER_NULL;

    cr_assert_eq(render_greeting(&buffer, greeting, &client), 0);
    cr_assert_eq(buffer.size, strlen(text), "%.*s", (int)buffer.size, buffer.bytes);
    cr_expect_arr_eq(buffer.bytes, text, buffer.size, "%.*s", (int)buffer.size, buffer.bytes);
    buffer_deinit(&buffer);
}

Test(units, are_in_greetings_with_their_variable_only)
{
    _cleanup_(greeting_unrefp) struct greeting *with = compile("a $unit_state{a.service}"),
                                               *without = compile("$connection $time{%F}"),
                                               *plain = compile("a.service");

    cr_expect(units_are_in(with));
    cr_expect_not(units_are_in(without));
    cr_expect_not(units_are_in(plain));
}

Test(units, are_kept_by_name_and_once)
{
    _cleanup_(greeting_unrefp) struct greeting *greeting =
        compile("$unit_state{b.timer} $time{%F} $unit_state{a.service}$unit_state{b.timer}");
    _cleanup_(greeting_unrefp) struct greeting *other = compile("${unit_state}{c.path} x");
    _cleanup_(units_deinit) struct units units = {.items = NULL};

    cr_assert_eq(units_add(&units, greeting), 0);
    cr_assert_eq(units_add(&units, other), 0);
    cr_assert_eq(units_add(&units, greeting), 0);
    cr_assert_eq(units.n, 3);
    cr_expect_str_eq(units.items[0].name, "a.service");
    cr_expect_str_eq(units.items[1].name, "b.timer");
    cr_expect_str_eq(units.items[2].name, "c.path");
}

Test(units, are_found_in_the_entries_of_a_fortune_file)
{
    _cleanup_(greeting_unrefp) struct greeting *greeting = greeting_new();
    _cleanup_(units_deinit) struct units units = {.items = NULL};
    struct diagnostics diagnostics = DIAGNOSTICS_NULL;

    cr_assert(greeting && (greeting->bytes = strdup("a\n%\n$unit_state{a.service}\n")));
    greeting->size = strlen(greeting->bytes);
    struct template_errors errors =
        template_errors_in(greeting->bytes, "/f", "c:1", "MessageFile", &diagnostics);
    cr_assert_eq(fortune_split(greeting, false, true, &errors, NULL), 0);
    cr_expect(units_are_in(greeting));
    cr_assert_eq(units_add(&units, greeting), 0);
    cr_assert_eq(units.n, 1);
    units.items[0].state = UNIT_STATE_FAILED;
    units_apply(&units, greeting);
    expect_rendered(&greeting->entries[1], "failed\n");
}

Test(units, have_their_states_in_every_place_of_a_greeting)
{
    _cleanup_(greeting_unrefp) struct greeting *greeting =
        compile("$unit_state{b.timer},$connection,$unit_state{a.service},$unit_state{b.timer}.");
    _cleanup_(units_deinit) struct units units = {.items = NULL};

    expect_rendered(greeting, "unknown,7,unknown,unknown.");
    cr_assert_eq(units_add(&units, greeting), 0);
    units.items[0].state = UNIT_STATE_FAILED;
    units.items[1].state = UNIT_STATE_ACTIVE;
    units_apply(&units, greeting);
    expect_rendered(greeting, "active,7,failed,active.");
    units_forget_states(&units);
    units_apply(&units, greeting);
    expect_rendered(greeting, "unknown,7,unknown,unknown.");
}

Test(units, that_another_table_has_keep_their_states)
{
    _cleanup_(greeting_unrefp) struct greeting *first =
        compile("$unit_state{a.service}$unit_state{b.service}");
    _cleanup_(greeting_unrefp) struct greeting *second =
        compile("$unit_state{b.service}$unit_state{c.service}");
    _cleanup_(units_deinit) struct units before = {.items = NULL}, units = {.items = NULL};

    cr_assert_eq(units_add(&before, first), 0);
    before.items[1].state = UNIT_STATE_ACTIVE;
    cr_assert_eq(units_add(&units, second), 0);
    units_copy_states(&units, &before);
    cr_expect_eq(units.items[0].state, UNIT_STATE_ACTIVE);
    cr_expect_eq(units.items[1].state, UNIT_STATE_UNKNOWN);
    units_apply(&before, second);
    expect_rendered(second, "activeunknown");
}

Test(units, of_a_fortune_file_are_256_at_most)
{
    struct diagnostics diagnostics = DIAGNOSTICS_NULL;
    char text[257 * sizeof("$$unit_state{a.service}\n%\n")] = "", *end = text;

    for (size_t i = 0; i < 257; i++)
        end = stpcpy(end, "$$unit_state{a.service}\n%\n");
    _cleanup_(greeting_unrefp) struct greeting *greeting = compile(text);
    struct template_errors errors =
        template_errors_in(greeting->bytes, "/f", "f:1", "MessageFile", &diagnostics);
    cr_assert_eq(fortune_split(greeting, false, true, &errors, NULL), -EINVAL);
    cr_assert_eq(diagnostics.n_lines, 1);
    cr_expect_str_eq(diagnostics.lines[0],
                     "f:1: MessageFile=/f:513: bad argument of $unit_state at byte 13; a greeting "
                     "must not have more than 256 units");
    diagnostics_deinit(&diagnostics);
}
