/* SPDX-License-Identifier: MIT */
#include "greetd/config/setting.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "greetd/base/cleanup.h"

#define SEC UINT64_C(1000000)

static void assign(struct setting_values *values, enum section_kind kind, const char *name,
                   const char *text, const char *origin)
{
    const char *why = "";
    const struct setting *setting = setting_find(name, kind);

    cr_assert_not_null(setting, "%s", name);
    cr_assert_eq(setting_assign(values, setting, text, origin, &why), 0, "%s=%s: %s", name, text,
                 why);
}

static const char *origin(const struct setting_values *values, enum section_kind kind,
                          const char *name)
{
    return setting_origin(values, setting_find(name, kind));
}

/* Completes VALUES as those of a [Listener NAME], and GREETING as those of [Greeting]. */
static void complete_listener(struct setting_values *values, struct setting_values *greeting)
{
    cr_assert_eq(setting_values_complete(greeting, SECTION_GREETING, NULL), 0);
    cr_assert_eq(setting_values_complete(values, SECTION_LISTENER, greeting), 0);
}

Test(setting, has_a_table_without_contradictions)
{
    for (size_t i = 0; setting_at(i); i++) {
        const struct setting *setting = setting_at(i);

        cr_expect_neq(setting->sections & SECTION_ANY, 0, "%s", setting->name);
        cr_expect_eq(setting->sections & ~(unsigned)SECTION_ANY, 0, "%s", setting->name);
        cr_expect_not_null(setting->kind, "%s", setting->name);
        cr_expect_not_null(setting->fallback, "%s", setting->name);
        cr_expect_eq(setting_find(setting->name, setting->sections), setting);
        for (size_t j = 0; j < i; j++)
            if (strcmp(setting_at(j)->name, setting->name) == 0)
                cr_expect_eq(setting_at(j)->sections & setting->sections, 0, "%s", setting->name);
    }
    cr_expect_null(setting_at(SETTING_N_MAX));
}

Test(setting, has_its_default_when_nothing_is_set)
{
    struct setting_values server = {0}, greeting = {0};

    cr_assert_eq(setting_values_complete(&server, SECTION_SERVER, NULL), 0);
    cr_assert_eq(server.listen.n, 1);
    cr_expect_str_eq(server.listen.texts[0], "127.0.0.1:12345");
    cr_expect_eq(server.server.backlog, 4096);
    cr_expect_eq(server.server.workers, 0);
    cr_expect_eq(server.server.max_connections, 16384);
    cr_expect_eq(server.server.stop_timeout_usec, 5 * SEC);

    cr_assert_eq(setting_values_complete(&greeting, SECTION_GREETING, NULL), 0);
    cr_expect_str_eq(greeting.greeting.message, "Hello from server!");
    cr_expect_null(greeting.greeting.message_file);
    cr_expect_eq(greeting.greeting.linger_usec, 2 * SEC);
    cr_expect_eq(greeting.greeting.write_timeout_usec, 30 * SEC);
    cr_expect_str_eq(origin(&greeting, SECTION_GREETING, "Message"), "default");

    setting_values_deinit(&server);
    setting_values_deinit(&greeting);
}

/* Criterion copies a row into the process of its test, and nothing that the row would point to. */
struct limit_row {
    char name[24];
    enum section_kind kind;
    char text[24];
    bool accepted;
};

ParameterizedTestParameters(setting, accepts_what_is_within_its_limits)
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
        {"Level", SECTION_LOG, "emerg", true},
        {"Level", SECTION_LOG, "debug", true},
        {"Level", SECTION_LOG, "6", false},
        {"ListenStream", SECTION_SERVER, "80", true},
        {"ListenStream", SECTION_LISTENER, "localhost", false},
    };
    return cr_make_param_array(struct limit_row, rows, ELEMENTSOF(rows));
}

ParameterizedTest(struct limit_row *row, setting, accepts_what_is_within_its_limits)
{
    struct setting_values values = {0};
    const struct setting *setting = setting_find(row->name, row->kind);
    const char *why = NULL;

    cr_expect_eq(setting_assign(&values, setting, row->text, "f:1", &why),
                 row->accepted ? 0 : -EINVAL);
    cr_expect_eq(why == NULL, row->accepted);
    cr_expect_str_eq(setting_origin(&values, setting), row->accepted ? "f:1" : "default");
    setting_values_deinit(&values);
}

Test(setting, that_is_refused_keeps_what_it_had)
{
    struct setting_values values = {0};
    const struct setting *setting = setting_find("Backlog", SECTION_SERVER);
    const char *why;

    assign(&values, SECTION_SERVER, "Backlog", "7", "f:1");
    cr_expect_eq(setting_assign(&values, setting, "none", "f:2", &why), -EINVAL);
    cr_expect_str_eq(why, "must be a number from 1 to 2147483647");
    cr_expect_eq(values.server.backlog, 7);
    cr_expect_str_eq(setting_origin(&values, setting), "f:1");
    setting_values_deinit(&values);
}

Test(setting, that_is_set_later_wins)
{
    struct setting_values values = {0};

    assign(&values, SECTION_GREETING, "LingerSec", "1", "f:1");
    assign(&values, SECTION_GREETING, "LingerSec", "2", "g:7");
    cr_expect_eq(values.greeting.linger_usec, 2 * SEC);
    cr_expect_str_eq(origin(&values, SECTION_GREETING, "LingerSec"), "g:7");
    setting_values_deinit(&values);
}

Test(setting, goes_back_to_its_default_when_assigned_nothing)
{
    struct setting_values values = {0};

    assign(&values, SECTION_SERVER, "Backlog", "7", "f:1");
    assign(&values, SECTION_SERVER, "Backlog", "", "f:2");
    assign(&values, SECTION_SERVER, "StopTimeoutSec", "7", "f:3");
    assign(&values, SECTION_SERVER, "StopTimeoutSec", "", "f:4");
    cr_assert_eq(setting_values_complete(&values, SECTION_SERVER, NULL), 0);
    cr_expect_eq(values.server.backlog, 4096);
    cr_expect_str_eq(origin(&values, SECTION_SERVER, "Backlog"), "default");
    cr_expect_eq(values.server.stop_timeout_usec, 5 * SEC);
    setting_values_deinit(&values);
}

Test(setting, with_a_list_replaces_the_default_and_is_then_appended_to)
{
    struct setting_values values = {0};

    assign(&values, SECTION_SERVER, "ListenStream", "1", "f:1");
    assign(&values, SECTION_SERVER, "ListenStream", "2", "f:2");
    cr_assert_eq(setting_values_complete(&values, SECTION_SERVER, NULL), 0);
    cr_assert_eq(values.listen.n, 2);
    cr_expect_str_eq(values.listen.texts[0], "1");
    cr_expect_str_eq(values.listen.origins[0], "f:1");
    cr_expect_str_eq(values.listen.texts[1], "2");
    cr_expect_str_eq(values.listen.origins[1], "f:2");
    setting_values_deinit(&values);
}

Test(setting, with_a_list_is_emptied_when_assigned_nothing)
{
    struct setting_values values = {0};

    assign(&values, SECTION_SERVER, "ListenStream", "1", "f:1");
    assign(&values, SECTION_SERVER, "ListenStream", "", "f:2");
    cr_assert_eq(setting_values_complete(&values, SECTION_SERVER, NULL), 0);
    cr_expect_eq(values.listen.n, 0);
    setting_values_deinit(&values);
}

struct message_row {
    char assignments[4][32];
    char message[32], message_file[32];
};

ParameterizedTestParameters(setting, of_the_message_that_is_last_is_in_force)
{
    static struct message_row rows[] = {
        {{"Message=a"}, "a", ""},
        {{"Message="}, "", ""},
        {{"MessageFile=/f"}, "", "/f"},
        {{"Message=a", "MessageFile=/f"}, "", "/f"},
        {{"MessageFile=/f", "Message=a"}, "a", ""},
        {{"MessageFile=/f", "Message="}, "", ""},
        {{"MessageFile=/f", "Message=a", "MessageFile=/g"}, "", "/g"},
        {{"MessageFile="}, "Hello from server!", ""},
        {{"MessageFile=/f", "MessageFile="}, "Hello from server!", ""},
        {{"Message=a", "MessageFile=/f", "MessageFile="}, "a", ""},
        {{"Message=a", "MessageFile="}, "a", ""},
        {{"Message=a", "MessageFile=/f", "MessageFile=", "Message=b"}, "b", ""},
    };
    return cr_make_param_array(struct message_row, rows, ELEMENTSOF(rows));
}

static void expect_message(const struct greeting_settings *settings, const char *message,
                           const char *message_file)
{
    if (message_file[0] != '\0') {
        cr_expect_null(settings->message);
        cr_expect_str_eq(settings->message_file, message_file);
    } else {
        cr_expect_null(settings->message_file);
        cr_expect_str_eq(settings->message, message);
    }
}

/* Makes the assignments of ROW, which end at the first empty one. */
static void assign_row(struct setting_values *values, const struct message_row *row)
{
    for (size_t i = 0; i < ELEMENTSOF(row->assignments) && row->assignments[i][0] != '\0'; i++) {
        const char *equals = strchr(row->assignments[i], '=');
        _cleanup_free_ char *name =
            strndup(row->assignments[i], (size_t)(equals - row->assignments[i]));
        assign(values, SECTION_GREETING, name, equals + 1, "f:1");
    }
}

ParameterizedTest(struct message_row *row, setting, of_the_message_that_is_last_is_in_force)
{
    struct setting_values greeting = {0}, listener = {0}, other = {0};

    assign_row(&greeting, row);
    complete_listener(&listener, &greeting);
    expect_message(&greeting.greeting, row->message, row->message_file);
    expect_message(&listener.greeting, row->message, row->message_file);

    /* The same in a section that would otherwise inherit another file or message. */
    setting_values_deinit(&listener);
    assign(&other, SECTION_GREETING, "MessageFile", "/other", "f:1");
    assign_row(&listener, row);
    complete_listener(&listener, &other);
    if (strcmp(row->message, "Hello from server!") == 0)
        expect_message(&listener.greeting, "", "/other");
    else
        expect_message(&listener.greeting, row->message, row->message_file);

    setting_values_deinit(&greeting);
    setting_values_deinit(&listener);
    setting_values_deinit(&other);
}

Test(setting, is_inherited_with_its_origin_unless_it_is_set)
{
    struct setting_values greeting = {0}, listener = {0};

    assign(&greeting, SECTION_GREETING, "LingerSec", "7", "f:1");
    assign(&greeting, SECTION_GREETING, "WriteTimeoutSec", "8", "f:2");
    assign(&listener, SECTION_LISTENER, "WriteTimeoutSec", "9", "f:3");
    complete_listener(&listener, &greeting);

    cr_expect_eq(listener.greeting.linger_usec, 7 * SEC);
    cr_expect_str_eq(origin(&listener, SECTION_LISTENER, "LingerSec"), "f:1");
    cr_expect_eq(listener.greeting.write_timeout_usec, 9 * SEC);
    cr_expect_str_eq(origin(&listener, SECTION_LISTENER, "WriteTimeoutSec"), "f:3");
    cr_expect_str_eq(origin(&listener, SECTION_LISTENER, "Message"), "default");
    cr_expect_eq(listener.listen.n, 0);
    setting_values_deinit(&greeting);
    setting_values_deinit(&listener);
}

Test(setting, is_inherited_again_when_assigned_nothing)
{
    struct setting_values greeting = {0}, listener = {0};

    assign(&greeting, SECTION_GREETING, "LingerSec", "7", "f:1");
    assign(&listener, SECTION_LISTENER, "LingerSec", "8", "f:2");
    assign(&listener, SECTION_LISTENER, "LingerSec", "", "f:3");
    complete_listener(&listener, &greeting);
    cr_expect_eq(listener.greeting.linger_usec, 7 * SEC);
    setting_values_deinit(&greeting);
    setting_values_deinit(&listener);
}

struct unknown_row {
    char key[32];
    enum section_kind kind;
    char mistake[112];
};

ParameterizedTestParameters(setting, that_is_unknown_gets_a_suggestion)
{
    static struct unknown_row rows[] = {
        {"LigerSec", SECTION_GREETING,
         "f:7: Unknown setting LigerSec= in [Greeting]; did you mean LingerSec=?"},
        {"LigerSec", SECTION_LISTENER,
         "f:7: Unknown setting LigerSec= in [Listener web]; did you mean LingerSec=?"},
        {"backlog", SECTION_SERVER,
         "f:7: Unknown setting backlog= in [Server]; did you mean Backlog=?"},
        {"linger_sec", SECTION_SERVER,
         "f:7: Unknown setting linger_sec= in [Server]; did you mean LingerSec= in [Greeting]?"},
        {"LingerSec", SECTION_SERVER, "f:7: LingerSec= belongs in [Greeting], not [Server]"},
        {"Backlog", SECTION_LISTENER, "f:7: Backlog= belongs in [Server], not [Listener web]"},
        {"ListenStream", SECTION_GREETING,
         "f:7: ListenStream= belongs in [Server], not [Greeting]"},
        {"Colour", SECTION_SERVER, "f:7: Unknown setting Colour= in [Server]"},
        {"\x1b[2J", SECTION_SERVER, "f:7: Unknown setting \\x1b[2J= in [Server]"},
    };
    return cr_make_param_array(struct unknown_row, rows, ELEMENTSOF(rows));
}

ParameterizedTest(struct unknown_row *row, setting, that_is_unknown_gets_a_suggestion)
{
    struct diagnostics diagnostics = DIAGNOSTICS_NULL;

    setting_diagnose_unknown(row->key, row->kind, row->kind == SECTION_LISTENER ? "web" : NULL,
                             "f:7", &diagnostics);
    cr_assert_eq(diagnostics.n_lines, 1);
    cr_expect_str_eq(diagnostics.lines[0], row->mistake);
    diagnostics_deinit(&diagnostics);
}

Test(setting, is_printed_if_it_is_in_force)
{
    struct setting_values values = {0};
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);

    assign(&values, SECTION_LISTENER, "Message", "a", "f:1");
    assign(&values, SECTION_LISTENER, "MessageFile", "/m", "f:2");
    assign(&values, SECTION_LISTENER, "LingerSec", "90", "f:3");
    assign(&values, SECTION_LISTENER, "ListenStream", "80", "f:4");
    assign(&values, SECTION_LISTENER, "ListenStream", "@a", "f:5");
    cr_assert_eq(setting_values_complete(&values, SECTION_LISTENER, NULL), 0);
    setting_values_print(&values, SECTION_LISTENER, stream);
    cr_assert_eq(fclose(stream), 0);
    cr_expect_str_eq(text, "# f:4\nListenStream=80\n"
                           "# f:5\nListenStream=@a\n"
                           "# f:2\nMessageFile=/m\n"
                           "# default\nExpand=no\n# default\nGreetOn=connect\n"
                           "# default\nDataTimeoutSec=5s\n"
                           "# f:3\nLingerSec=1min 30s\n"
                           "# default\nWriteTimeoutSec=30s\n");
    free(text);
    setting_values_deinit(&values);
}
