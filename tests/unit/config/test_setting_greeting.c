/* SPDX-License-Identifier: MIT */

/* What is said of how clients are greeted. */

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <string.h>

#include "greetd/base/cleanup.h"
#include "greetd/config/setting.h"

/* What [Greeting] and [Listener] say, and what Expand= then is in each. */
struct expand_row {
    char greeting[3][32], listener[3][32];
    bool in_greeting, in_listener;
};

ParameterizedTestParameters(setting_greeting,
                            expands_a_message_and_not_a_file_unless_told_otherwise)
{
    static struct expand_row rows[] = {
        {{""}, {""}, true, true},
        {{"Message=a"}, {""}, true, true},
        {{"MessageFile=/f"}, {""}, false, false},
        {{"MessageFile=/f"}, {"Message=a"}, false, true},
        {{"Message=a"}, {"MessageFile=/f"}, true, false},
        {{"MessageFile=/f", "MessageFile="}, {""}, true, true},
        {{"Expand=no"}, {""}, false, false},
        {{"MessageFile=/f", "Expand=yes"}, {""}, true, true},
        {{"Expand=yes"}, {"MessageFile=/f"}, true, true},
        {{"Expand=no"}, {"Message=a"}, false, false},
        {{"Expand=no"}, {"Expand=yes"}, false, true},
        {{"MessageFile=/f"}, {"Expand=yes"}, false, true},
        {{"MessageFile=/f", "Expand=yes"}, {"Expand="}, true, true},
        {{"MessageFile=/f", "Expand=yes", "Expand="}, {"Expand="}, false, false},
    };
    return cr_make_param_array(struct expand_row, rows, ELEMENTSOF(rows));
}

/* Makes the assignments up to the first empty one. */
static void assign(struct setting_values *values, char (*assignments)[32])
{
    for (size_t i = 0; i < 3 && assignments[i][0] != '\0'; i++) {
        const char *equals = strchr(assignments[i], '='), *why = "";
        _cleanup_free_ char *name = strndup(assignments[i], (size_t)(equals - assignments[i]));
        const struct setting *setting = setting_find(name, SECTION_GREETING);

        cr_assert_eq(setting_assign(values, setting, equals + 1, "f:1", &why), 0, "%s", why);
    }
}

ParameterizedTest(struct expand_row *row, setting_greeting,
                  expands_a_message_and_not_a_file_unless_told_otherwise)
{
    struct setting_values greeting = {0}, listener = {0};

    assign(&greeting, row->greeting);
    assign(&listener, row->listener);
    cr_assert_eq(setting_values_complete(&greeting, SECTION_GREETING, NULL), 0);
    cr_assert_eq(setting_values_complete(&listener, SECTION_LISTENER, &greeting), 0);
    cr_expect_eq(greeting.greeting.expand, row->in_greeting);
    cr_expect_eq(listener.greeting.expand, row->in_listener);
    setting_values_deinit(&greeting);
    setting_values_deinit(&listener);
}

static int set(struct setting_values *values, const char *name, const char *text)
{
    const char *why;

    return setting_assign(values, setting_find(name, SECTION_GREETING), text, "f:1", &why);
}

Test(setting_greeting, is_on_connect_or_on_data)
{
    struct setting_values values = {0};

    cr_expect_eq(set(&values, "GreetOn", "Data"), -EINVAL);
    cr_expect_eq(set(&values, "GreetOn", "connect"), 0);
    cr_expect_eq(values.greeting.greet_on, GREET_ON_CONNECT);
    cr_expect_eq(set(&values, "GreetOn", "data"), 0);
    cr_expect_eq(values.greeting.greet_on, GREET_ON_DATA);
    setting_values_deinit(&values);
}

Test(setting_greeting, waits_some_time_for_data)
{
    struct setting_values values = {0};

    cr_expect_eq(set(&values, "DataTimeoutSec", "0"), -EINVAL);
    cr_assert_eq(setting_values_complete(&values, SECTION_GREETING, NULL), 0);
    cr_expect_eq(values.greeting.data_timeout_usec, 5000000);
    cr_expect_eq(values.greeting.greet_on, GREET_ON_CONNECT);
    setting_values_deinit(&values);
}
