/* SPDX-License-Identifier: MIT */
#include "greetd/config/setting_values.h"

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
    cr_assert_eq(setting_values_assign(values, setting, text, origin, &why), 0, "%s=%s: %s", name,
                 text, why);
}

static const char *origin(const struct setting_values *values, enum section_kind kind,
                          const char *name)
{
    return setting_values_origin(values, setting_find(name, kind));
}

/* Completes VALUES as those of a [Listener NAME], and GREETING as those of [Greeting]. */
static void complete_listener(struct setting_values *values, struct setting_values *greeting)
{
    cr_assert_eq(setting_values_complete(greeting, SECTION_GREETING, NULL), 0);
    cr_assert_eq(setting_values_complete(values, SECTION_LISTENER, greeting), 0);
}

Test(setting_values, are_the_defaults_when_nothing_is_set)
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

Test(setting_values, keep_a_setting_when_an_assignment_is_refused)
{
    struct setting_values values = {0};
    const struct setting *setting = setting_find("Backlog", SECTION_SERVER);
    const char *why;

    assign(&values, SECTION_SERVER, "Backlog", "7", "f:1");
    cr_expect_eq(setting_values_assign(&values, setting, "none", "f:2", &why), -EINVAL);
    cr_expect_str_eq(why, "must be a number from 1 to 2147483647");
    cr_expect_eq(values.server.backlog, 7);
    cr_expect_str_eq(setting_values_origin(&values, setting), "f:1");
    setting_values_deinit(&values);
}

Test(setting_values, have_the_later_of_two_assignments)
{
    struct setting_values values = {0};

    assign(&values, SECTION_GREETING, "LingerSec", "1", "f:1");
    assign(&values, SECTION_GREETING, "LingerSec", "2", "g:7");
    cr_expect_eq(values.greeting.linger_usec, 2 * SEC);
    cr_expect_str_eq(origin(&values, SECTION_GREETING, "LingerSec"), "g:7");
    setting_values_deinit(&values);
}

Test(setting_values, return_to_the_default_after_an_empty_assignment)
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

Test(setting_values, have_a_list_that_is_appended_to_without_its_default)
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

Test(setting_values, have_a_list_that_an_empty_assignment_empties)
{
    struct setting_values values = {0};

    assign(&values, SECTION_SERVER, "ListenStream", "1", "f:1");
    assign(&values, SECTION_SERVER, "ListenStream", "", "f:2");
    cr_assert_eq(setting_values_complete(&values, SECTION_SERVER, NULL), 0);
    cr_expect_eq(values.listen.n, 0);
    setting_values_deinit(&values);
}

/* Criterion copies a row into the process of its test, and nothing that the row would point to. */
struct message_row {
    char assignments[4][32];
    char message[32], message_file[32];
};

ParameterizedTestParameters(setting_values, have_the_message_or_the_file_that_is_set_last)
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

/* Makes up to N assignments `NAME=TEXT`, which end at the first empty one. */
static void assign_all(struct setting_values *values, char (*assignments)[32], size_t n)
{
    for (size_t i = 0; i < n && assignments[i][0] != '\0'; i++) {
        const char *equals = strchr(assignments[i], '=');
        _cleanup_free_ char *name = strndup(assignments[i], (size_t)(equals - assignments[i]));
        assign(values, SECTION_GREETING, name, equals + 1, "f:1");
    }
}

ParameterizedTest(struct message_row *row, setting_values,
                  have_the_message_or_the_file_that_is_set_last)
{
    struct setting_values greeting = {0}, listener = {0}, other = {0};

    assign_all(&greeting, row->assignments, ELEMENTSOF(row->assignments));
    complete_listener(&listener, &greeting);
    expect_message(&greeting.greeting, row->message, row->message_file);
    expect_message(&listener.greeting, row->message, row->message_file);

    /* The same in a section that would otherwise inherit another file. */
    setting_values_deinit(&listener);
    assign(&other, SECTION_GREETING, "MessageFile", "/other", "f:1");
    assign_all(&listener, row->assignments, ELEMENTSOF(row->assignments));
    complete_listener(&listener, &other);
    if (strcmp(row->message, "Hello from server!") == 0)
        expect_message(&listener.greeting, "", "/other");
    else
        expect_message(&listener.greeting, row->message, row->message_file);

    setting_values_deinit(&greeting);
    setting_values_deinit(&listener);
    setting_values_deinit(&other);
}

Test(setting_values, inherit_a_setting_with_its_origin_unless_it_is_set)
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

Test(setting_values, inherit_again_after_an_empty_assignment)
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

static void watch_file(struct setting_values *values, enum section_kind kind)
{
    assign(values, kind, "MessageFile", "/f", "f:1");
    assign(values, kind, "Watch", "yes", "f:2");
    assign(values, kind, "MaxAgeSec", "7", "f:3");
    assign(values, kind, "StaleMessage", "stale", "f:4");
}

static void expect_no_watch(const struct greeting_settings *settings)
{
    cr_expect_not(settings->watch);
    cr_expect_eq(settings->max_age_usec, UINT64_MAX);
    cr_expect_null(settings->stale_message);
}

Test(setting_values, inherit_the_settings_of_a_file_with_the_file)
{
    struct setting_values greeting = {0}, listener = {0};

    watch_file(&greeting, SECTION_GREETING);
    assign(&listener, SECTION_LISTENER, "MessageFile", "/other", "f:5");
    complete_listener(&listener, &greeting);
    cr_expect(listener.greeting.watch);
    cr_expect_eq(listener.greeting.max_age_usec, 7 * SEC);
    cr_expect_str_eq(listener.greeting.stale_message, "stale");
    setting_values_deinit(&greeting);
    setting_values_deinit(&listener);
}

Test(setting_values, inherit_no_settings_of_a_file_with_a_message_of_their_own)
{
    struct setting_values greeting = {0}, listener = {0};

    watch_file(&greeting, SECTION_GREETING);
    assign(&greeting, SECTION_GREETING, "StopMessage", "stop", "f:5");
    assign(&listener, SECTION_LISTENER, "Message", "a", "f:6");
    complete_listener(&listener, &greeting);
    expect_no_watch(&listener.greeting);
    cr_expect_str_eq(listener.greeting.stop_message, "stop");
    setting_values_deinit(&greeting);
    setting_values_deinit(&listener);
}

/* As -m does with a file of the configuration. */
Test(setting_values, have_no_settings_of_a_file_that_a_later_message_replaces)
{
    struct setting_values greeting = {0};

    watch_file(&greeting, SECTION_GREETING);
    assign(&greeting, SECTION_GREETING, "Message", "a", "command line");
    cr_assert_eq(setting_values_complete(&greeting, SECTION_GREETING, NULL), 0);
    expect_no_watch(&greeting.greeting);
    cr_expect_str_eq(origin(&greeting, SECTION_GREETING, "Watch"), "default");
    setting_values_deinit(&greeting);
}

/* The assignments in [Greeting] and [Listener NAME], and the resulting Expand= of each. */
struct expand_row {
    char greeting[3][32], listener[3][32];
    bool in_greeting, in_listener;
};

ParameterizedTestParameters(setting_values, expand_a_message_but_no_file_by_default)
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

ParameterizedTest(struct expand_row *row, setting_values, expand_a_message_but_no_file_by_default)
{
    struct setting_values greeting = {0}, listener = {0};

    assign_all(&greeting, row->greeting, ELEMENTSOF(row->greeting));
    assign_all(&listener, row->listener, ELEMENTSOF(row->listener));
    complete_listener(&listener, &greeting);
    cr_expect_eq(greeting.greeting.expand, row->in_greeting);
    cr_expect_eq(listener.greeting.expand, row->in_listener);
    setting_values_deinit(&greeting);
    setting_values_deinit(&listener);
}

Test(setting_values, are_printed_if_they_are_in_force)
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
    cr_expect_str_eq(
        text,
        "# f:4\nListenStream=80\n"
        "# f:5\nListenStream=@a\n"
        "# f:2\nMessageFile=/m\n"
        "# default\nExpand=no\n# default\nPick=whole\n# default\nWatch=no\n"
        "# default\nMaxAgeSec=infinity\n# default\nProxyProtocol=no\n# default\nGreetOn=connect\n"
        "# default\nDataTimeoutSec=5s\n"
        "# default\nDripSec=0\n# default\nDripRepeat=no\n"
        "# f:3\nLingerSec=1min 30s\n"
        "# default\nWriteTimeoutSec=30s\n"
        "# default\nLogConnections=yes\n");
    free(text);
    setting_values_deinit(&values);
}
