/* SPDX-License-Identifier: MIT */
#include "greetd/config/loader.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "greetd/base/cleanup.h"
#include "greetd/greeting/greeting.h"
#include "support/sections_fixture.h"

TestSuite(loader, .init = set_up, .fini = tear_down);

static void read_text(const char *path, const char *text)
{
    cr_assert_eq(loader_read_file(&sections, path, text, strlen(text), &diagnostics), 0);
}

/* All errors, each with a newline at its end. */
static const char *errors(void)
{
    static char text[4096];

    text[0] = '\0';
    for (size_t i = 0; i < diagnostics.n_lines; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s\n", diagnostics.lines[i]);
    return text;
}

static const struct setting_values *listener(size_t index)
{
    cr_assert_lt(SECTIONS_FIRST_LISTENER + index, sections.n);
    return &sections.items[SECTIONS_FIRST_LISTENER + index].values;
}

Test(loader, merges_sections_of_the_same_name_across_files)
{
    read_text("a", "[Listener x]\nLingerSec=1\n[Server]\nBacklog=1\n"
                   "[Listener y]\nLingerSec=2\n[Listener x]\nWriteTimeoutSec=3\n");
    read_text("b", "[Listener y]\nWriteTimeoutSec=4\n[Server]\nWorkers=5\n");
    cr_assert_eq(sections_complete(&sections), 0);
    cr_assert_str_eq(errors(), "");

    cr_assert_eq(sections.n, SECTIONS_FIRST_LISTENER + 2);
    cr_expect_str_eq(sections.items[SECTIONS_FIRST_LISTENER].name, "x");
    cr_expect_eq(listener(0)->greeting.linger_usec, 1000000);
    cr_expect_eq(listener(0)->greeting.write_timeout_usec, 3000000);
    cr_expect_str_eq(sections.items[SECTIONS_FIRST_LISTENER + 1].name, "y");
    cr_expect_eq(listener(1)->greeting.linger_usec, 2000000);
    cr_expect_eq(listener(1)->greeting.write_timeout_usec, 4000000);
    cr_expect_eq(sections.items[SECTIONS_SERVER].values.server.backlog, 1);
    cr_expect_eq(sections.items[SECTIONS_SERVER].values.server.workers, 5);
}

Test(loader, distinguishes_listeners_by_case)
{
    read_text("a", "[Listener x]\n[Listener X]\n");
    cr_expect_eq(sections.n, SECTIONS_FIRST_LISTENER + 2);
}

Test(loader, lets_a_listener_inherit_from_a_later_greeting)
{
    read_text("a", "[Listener x]\n");
    read_text("b", "[Greeting]\nMessage=later\n");
    cr_assert_eq(sections_complete(&sections), 0);
    cr_expect_str_eq(listener(0)->greeting.message, "later");
}

Test(loader, begins_every_file_outside_of_any_section)
{
    read_text("a", "[Server]\n");
    read_text("b", "Backlog=1\n");
    cr_expect_str_eq(errors(), "b:1: This setting stands before any [Section]: Backlog=1\n");
}

Test(loader, reports_all_errors_with_their_lines)
{
    read_text("/etc/greetd.conf", "Backlog=1\n"
                                  "[Server]\n"
                                  "Backlog=many\n"
                                  "LingerSec=2\n"
                                  "\n"
                                  "[Greeting]\n"
                                  "LigerSec=3\n"
                                  "Message=a\\\n"
                                  "  \\q\n"
                                  "MessageFile=relative\n"
                                  "foo\n"
                                  "[Listener]\n"
                                  "[Listener x]\n"
                                  "ListenStream=localhost:80\n"
                                  "=\n");
    cr_expect_str_eq(
        errors(),
        "/etc/greetd.conf:1: This setting stands before any [Section]: Backlog=1\n"
        "/etc/greetd.conf:3: Backlog=many: must be a number from 1 to 2147483647\n"
        "/etc/greetd.conf:4: LingerSec= belongs in [Greeting], not [Server]\n"
        "/etc/greetd.conf:7: Unknown setting LigerSec= in [Greeting]; did you mean LingerSec=?\n"
        "/etc/greetd.conf:8: Message=: bad escape \\q at byte 5; the escapes are \\n, \\r, \\t, "
        "\\\\ and \\xHH\n"
        "/etc/greetd.conf:10: MessageFile=relative: must be an absolute path\n"
        "/etc/greetd.conf:11: Neither [Section] nor Setting=value: foo\n"
        "/etc/greetd.conf:12: [Listener] must have a name, as in [Listener NAME]: 1 to 255 ASCII "
        "characters, no control characters, no ':', no space at the end\n"
        "/etc/greetd.conf:14: ListenStream=localhost:80: what stands before the port is not an "
        "IPv4 address; names are not looked up\n"
        "/etc/greetd.conf:15: The name of the setting is missing before '=': =\n");
}

Test(loader, reports_an_unknown_section_but_not_its_settings)
{
    read_text("a", "[Server]\n[Sever]\nBacklog=1\nColour=2\n[Server]\nWorkers=0\n");
    cr_expect_str_eq(errors(), "a:2: Unknown section [Sever]; did you mean [Server]?\n"
                               "a:6: Workers=0: must be auto or a number from 1 to 1024\n");
    cr_expect_eq(sections.items[SECTIONS_SERVER].values.server.backlog, 0);
}

/* Criterion copies a row into the process of its test, and nothing that the row would point to. */
struct unknown_row {
    char key[32];
    enum section_kind kind;
    char line[112];
};

ParameterizedTestParameters(loader, suggests_the_nearest_setting_for_one_that_is_unknown)
{
    static struct unknown_row rows[] = {
        {"LigerSec", SECTION_GREETING,
         "f:4: Unknown setting LigerSec= in [Greeting]; did you mean LingerSec=?"},
        {"LigerSec", SECTION_LISTENER,
         "f:4: Unknown setting LigerSec= in [Listener web]; did you mean LingerSec=?"},
        {"backlog", SECTION_SERVER,
         "f:4: Unknown setting backlog= in [Server]; did you mean Backlog=?"},
        {"linger_sec", SECTION_SERVER,
         "f:4: Unknown setting linger_sec= in [Server]; did you mean LingerSec= in [Greeting]?"},
        {"LingerSec", SECTION_SERVER, "f:4: LingerSec= belongs in [Greeting], not [Server]"},
        {"Backlog", SECTION_LISTENER, "f:4: Backlog= belongs in [Server], not [Listener web]"},
        {"ListenStream", SECTION_GREETING,
         "f:4: ListenStream= belongs in [Server], not [Greeting]"},
        {"Allow", SECTION_GREETING, "f:4: Allow= belongs in [Limits], not [Greeting]"},
        {"Colour", SECTION_SERVER, "f:4: Unknown setting Colour= in [Server]"},
        {"\x1b[2J", SECTION_SERVER, "f:4: Unknown setting \\x1b[2J= in [Server]"},
    };
    return cr_make_param_array(struct unknown_row, rows, ELEMENTSOF(rows));
}

ParameterizedTest(struct unknown_row *row, loader,
                  suggests_the_nearest_setting_for_one_that_is_unknown)
{
    char header[SECTION_TEXT_MAX], text[sizeof(header) + 64];

    section_format(row->kind, "web", header);
    snprintf(text, sizeof(text), "\n%s\n\n%s=1\n", header, row->key);
    read_text("f", text);
    cr_assert_eq(diagnostics.n_lines, 1);
    cr_expect_str_eq(diagnostics.lines[0], row->line);
}

Test(loader, suggests_the_nearest_word)
{
    read_text("a", "[Log]\nLevel=wraning\nLevel=loud\n");
    cr_expect_str_eq(errors(),
                     "a:2: Level=wraning: must be one of emerg, alert, crit, err, warning, notice, "
                     "info or debug; did you mean warning?\n"
                     "a:3: Level=loud: must be one of emerg, alert, crit, err, warning, notice, "
                     "info or debug\n");
}

Test(loader, reports_a_bad_message_even_if_a_later_one_replaces_it)
{
    read_text("a", "[Greeting]\nMessage=\\q\nMessage=good\n");
    cr_expect_eq(diagnostics.n_errors, 1);
    cr_assert_eq(sections_complete(&sections), 0);
    cr_expect_str_eq(sections.items[SECTIONS_GREETING].values.greeting.message, "good");
}

Test(loader, escapes_control_characters_of_a_bad_value)
{
    read_text("a", "[Server]\nBacklog=\x1b[2J\n");
    cr_expect_str_eq(errors(), "a:2: Backlog=\\x1b[2J: must be a number from 1 to 2147483647\n");
}

Test(loader, replaces_settings_of_files_by_options)
{
    const char *listen[] = {"1", "@two"};

    read_text("a", "[Server]\nListenStream=80\n[Greeting]\nMessageFile=/f\n"
                   "[Listener x]\nListenStream=81\nMessage=its own\n[Listener y]\n");
    cr_assert_eq(loader_read_options(&sections, listen, 2, "hi", &diagnostics), 0);
    cr_assert_eq(sections_complete(&sections), 0);
    cr_assert_str_eq(errors(), "");

    const struct address_list *list = &sections.items[SECTIONS_SERVER].values.listen;
    cr_assert_eq(list->n, 2);
    cr_expect_str_eq(list->texts[0], "1");
    cr_expect_str_eq(list->origins[0], "command line");
    cr_expect_str_eq(list->texts[1], "@two");
    const struct greeting_settings *greeting = &sections.items[SECTIONS_GREETING].values.greeting;
    cr_expect_str_eq(greeting->message, "hi");
    cr_expect_null(greeting->message_file);
    cr_expect_eq(listener(0)->listen.n, 1);
    cr_expect_str_eq(listener(0)->greeting.message, "its own");
    cr_expect_str_eq(listener(1)->greeting.message, "hi");
}

Test(loader, keeps_settings_of_files_without_options)
{
    read_text("a", "[Server]\nListenStream=80\n[Greeting]\nMessage=hi\n");
    cr_assert_eq(loader_read_options(&sections, NULL, 0, NULL, &diagnostics), 0);
    cr_expect_eq(sections.items[SECTIONS_SERVER].values.listen.n, 1);
    cr_expect_str_eq(sections.items[SECTIONS_GREETING].values.greeting.message, "hi");
}

Test(loader, accepts_an_empty_message_as_an_option)
{
    cr_assert_eq(loader_read_options(&sections, NULL, 0, "", &diagnostics), 0);
    cr_assert_eq(sections_complete(&sections), 0);
    cr_expect_str_eq(sections.items[SECTIONS_GREETING].values.greeting.message, "");
}

Test(loader, reports_errors_in_options_by_their_names)
{
    const char *listen[] = {"foo:1", "", "80"};

    cr_assert_eq(loader_read_options(&sections, listen, 3, "a\\", &diagnostics), 0);
    cr_expect_str_eq(
        errors(),
        "command line: --listen=foo:1: what stands before the port is not an IPv4 address; names "
        "are not looked up\n"
        "command line: --listen=: the address is missing\n"
        "command line: --message=: bad escape \\ at byte 2; the escapes are \\n, \\r, \\t, \\\\ "
        "and \\xHH\n");
}

Test(loader, reports_an_option_that_is_given_twice)
{
    const char *listen[] = {"80", "81", "80"};

    cr_assert_eq(loader_read_options(&sections, listen, 3, NULL, &diagnostics), 0);
    sections_diagnose_duplicates(&sections, &diagnostics);
    cr_expect_str_eq(errors(), "command line: --listen=80: the same address is given already "
                               "(command line)\n");
}

Test(loader, refuses_a_message_that_is_too_long)
{
    size_t size = GREETING_SIZE_MAX + 1;
    char *message = malloc(size + 1);

    memset(message, 'a', size);
    message[size] = '\0';
    cr_assert_eq(loader_read_options(&sections, NULL, 0, message, &diagnostics), 0);
    cr_expect_str_eq(errors(),
                     "command line: --message=: must not be longer than 16777216 bytes\n");
    free(message);
}
