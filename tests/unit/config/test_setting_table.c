/* SPDX-License-Identifier: MIT */
#include "greetd/config/setting_table.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <string.h>
#include <syslog.h>

#include "greetd/base/cleanup.h"
#include "greetd/config/setting_values.h"

Test(setting_table, has_no_contradictions)
{
    for (const struct setting *setting = setting_table; setting->name; setting++) {
        cr_expect_neq(setting->sections & SECTION_ANY, 0, "%s", setting->name);
        cr_expect_eq(setting->sections & ~(unsigned)SECTION_ANY, 0, "%s", setting->name);
        cr_expect_not_null(setting->type, "%s", setting->name);
        cr_expect_not_null(setting->default_text, "%s", setting->name);
        cr_expect_eq(setting_find(setting->name, setting->sections), setting);
        for (const struct setting *other = setting_table; other != setting; other++)
            if (strcmp(other->name, setting->name) == 0)
                cr_expect_eq(other->sections & setting->sections, 0, "%s", setting->name);
    }
}

Test(setting_table, calls_a_setting_by_its_option_where_that_set_it)
{
    const struct setting *message = setting_find("Message", SECTION_GREETING);
    const struct setting *linger = setting_find("LingerSec", SECTION_GREETING);

    cr_expect_str_eq(setting_label(message, SETTING_ORIGIN_COMMAND_LINE), "--message");
    cr_expect_str_eq(setting_label(message, "f:1"), "Message");
    cr_expect_str_eq(setting_label(linger, SETTING_ORIGIN_COMMAND_LINE), "LingerSec");
    cr_expect_str_eq(
        setting_label(setting_find("ListenStream", SECTION_SERVER), SETTING_ORIGIN_COMMAND_LINE),
        "--listen");
}

/* Criterion copies a row into the process of its test, and nothing that the row would point to. */
struct limit_row {
    char name[32];
    enum section_kind kind;
    char text[24];
    bool accepted;
};

ParameterizedTestParameters(setting_table, accepts_values_within_the_limits_of_a_setting)
{
    static struct limit_row rows[] = {
        {"Backlog", SECTION_SERVER, "1", true},
        {"Backlog", SECTION_SERVER, "2147483647", true},
        {"Backlog", SECTION_SERVER, "0", false},
        {"Backlog", SECTION_SERVER, "2147483648", false},
        {"Backlog", SECTION_SERVER, "auto", false},
        {"Workers", SECTION_SERVER, "auto", true},
        {"Workers", SECTION_SERVER, "1", true},
        {"Workers", SECTION_SERVER, "1024", true},
        {"Workers", SECTION_SERVER, "0", false},
        {"Workers", SECTION_SERVER, "1025", false},
        {"MaxConnections", SECTION_SERVER, "1", true},
        {"MaxConnections", SECTION_SERVER, "1048576", true},
        {"MaxConnections", SECTION_SERVER, "0", false},
        {"MaxConnections", SECTION_SERVER, "1048577", false},
        {"MaxConnections", SECTION_SERVER, "infinity", false},
        {"StopTimeoutSec", SECTION_SERVER, "0", true},
        {"StopTimeoutSec", SECTION_SERVER, "infinity", true},
        {"StopTimeoutSec", SECTION_SERVER, "-1", false},
        {"LingerSec", SECTION_GREETING, "0", true},
        {"LingerSec", SECTION_LISTENER, "infinity", true},
        {"LingerSec", SECTION_GREETING, "2 sconds", false},
        {"DripSec", SECTION_GREETING, "0", true},
        {"DripSec", SECTION_LISTENER, "1y", true},
        {"DripSec", SECTION_GREETING, "infinity", false},
        {"WriteTimeoutSec", SECTION_GREETING, "1us", true},
        {"WriteTimeoutSec", SECTION_LISTENER, "infinity", true},
        {"WriteTimeoutSec", SECTION_GREETING, "0", false},
        {"WriteTimeoutSec", SECTION_GREETING, "0.1us", false},
        {"MessageFile", SECTION_GREETING, "/a", true},
        {"MessageFile", SECTION_GREETING, "a", false},
        {"RateLimitIntervalSec", SECTION_LOG, "0", true},
        {"RateLimitIntervalSec", SECTION_LOG, "infinity", true},
        {"RateLimitBurst", SECTION_LOG, "0", true},
        {"RateLimitBurst", SECTION_LOG, "4294967295", true},
        {"RateLimitBurst", SECTION_LOG, "infinity", true},
        {"RateLimitBurst", SECTION_LOG, "4294967296", false},
        {"RateLimitBurst", SECTION_LOG, "auto", false},
        {"MaxConnectionsPerSource", SECTION_LIMITS, "1", true},
        {"MaxConnectionsPerSource", SECTION_LIMITS, "1048576", true},
        {"MaxConnectionsPerSource", SECTION_LIMITS, "infinity", true},
        {"MaxConnectionsPerSource", SECTION_LIMITS, "0", false},
        {"MaxConnectionsPerSource", SECTION_LIMITS, "1048577", false},
        {"RateLimitPerSourceIntervalSec", SECTION_LIMITS, "0", true},
        {"RateLimitPerSourceIntervalSec", SECTION_LIMITS, "1y", true},
        {"RateLimitPerSourceIntervalSec", SECTION_LIMITS, "1y 1us", false},
        {"RateLimitPerSourceIntervalSec", SECTION_LIMITS, "infinity", false},
        {"RateLimitPerSourceBurst", SECTION_LIMITS, "1", true},
        {"RateLimitPerSourceBurst", SECTION_LIMITS, "4294967295", true},
        {"RateLimitPerSourceBurst", SECTION_LIMITS, "infinity", true},
        {"RateLimitPerSourceBurst", SECTION_LIMITS, "0", false},
        {"RateLimitPerSourceBurst", SECTION_LIMITS, "4294967296", false},
        {"Level", SECTION_LOG, "emerg", true},
        {"Level", SECTION_LOG, "debug", true},
        {"Level", SECTION_LOG, "6", false},
        {"ListenStream", SECTION_SERVER, "80", true},
        {"ListenStream", SECTION_LISTENER, "localhost", false},
    };
    return cr_make_param_array(struct limit_row, rows, ELEMENTSOF(rows));
}

ParameterizedTest(struct limit_row *row, setting_table,
                  accepts_values_within_the_limits_of_a_setting)
{
    struct setting_values values = {0};
    const struct setting *setting = setting_find(row->name, row->kind);
    const char *why = NULL;

    cr_expect_eq(setting_values_assign(&values, setting, row->text, "f:1", &why),
                 row->accepted ? 0 : -EINVAL);
    cr_expect_eq(why == NULL, row->accepted);
    cr_expect_str_eq(setting_values_origin(&values, setting), row->accepted ? "f:1" : "default");
    setting_values_deinit(&values);
}

/* The words are written a second time, by hand, in the message about any other word. */
Test(setting_table, names_all_words_of_a_setting)
{
    for (const struct setting *setting = setting_table; setting->name; setting++) {
        char accepts[256] = "must be one of ";
        const char *const *word = setting->rule.words;

        for (; word && *word; word++) {
            strcat(accepts, *word);
            strcat(accepts, !word[1] ? "" : !word[2] ? " or " : ", ");
        }
        if (setting->rule.words)
            cr_expect_str_eq(setting->rule.accepts, accepts);
    }
}

Test(setting_table, gives_a_level_its_number_in_syslog)
{
    static const int numbers[] = {LOG_EMERG,   LOG_ALERT,  LOG_CRIT, LOG_ERR,
                                  LOG_WARNING, LOG_NOTICE, LOG_INFO, LOG_DEBUG};
    static const char *const names[] = {"emerg",   "alert",  "crit", "err",
                                        "warning", "notice", "info", "debug"};

    for (size_t i = 0; i < ELEMENTSOF(names); i++) {
        struct setting_values values = {0};
        const char *why = NULL;
        cr_assert_eq(setting_values_assign(&values, setting_find("Level", SECTION_LOG), names[i],
                                           "f:1", &why),
                     0);
        cr_expect_eq((int)values.log.level, numbers[i]);
        setting_values_deinit(&values);
    }
}

static int set(struct setting_values *values, const char *name, const char *text)
{
    const char *why;

    return setting_values_assign(values, setting_find(name, SECTION_GREETING), text, "f:1", &why);
}

Test(setting_table, greets_on_connect_or_on_data)
{
    struct setting_values values = {0};

    cr_expect_eq(set(&values, "GreetOn", "Data"), -EINVAL);
    cr_expect_eq(set(&values, "GreetOn", "connect"), 0);
    cr_expect_eq(values.greeting.greet_on, GREET_ON_CONNECT);
    cr_expect_eq(set(&values, "GreetOn", "data"), 0);
    cr_expect_eq(values.greeting.greet_on, GREET_ON_DATA);
    setting_values_deinit(&values);
}

Test(setting_table, needs_a_time_to_wait_for_data)
{
    struct setting_values values = {0};

    cr_expect_eq(set(&values, "DataTimeoutSec", "0"), -EINVAL);
    cr_assert_eq(setting_values_complete(&values, SECTION_GREETING, NULL), 0);
    cr_expect_eq(values.greeting.data_timeout_usec, 5000000);
    cr_expect_eq(values.greeting.greet_on, GREET_ON_CONNECT);
    setting_values_deinit(&values);
}
