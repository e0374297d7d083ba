/* SPDX-License-Identifier: MIT */
#include "greetd/config/loader.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <string.h>

#include "greetd/base/cleanup.h"

static struct sections sections;
static struct diagnostics diagnostics;

static void set_up(void)
{
    diagnostics = DIAGNOSTICS_NULL;
    cr_assert_eq(sections_init(&sections), 0);
}

static void tear_down(void)
{
    sections_deinit(&sections);
    diagnostics_deinit(&diagnostics);
}

TestSuite(loader, .init = set_up, .fini = tear_down);

static void read_text(const char *path, const char *text)
{
    cr_assert_eq(loader_read_file(&sections, path, text, strlen(text), &diagnostics), 0);
}

/* All mistakes, each ended by a newline. */
static const char *mistakes(void)
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
    return &sections.sections[SECTIONS_FIRST_LISTENER + index].values;
}

Test(loader, has_all_sections_but_listeners_from_the_start)
{
    cr_assert_eq(sections.n, SECTIONS_FIRST_LISTENER);
    cr_expect_eq(sections.sections[SECTIONS_SERVER].kind, SECTION_SERVER);
    cr_expect_eq(sections.sections[SECTIONS_LOG].kind, SECTION_LOG);
    cr_expect_eq(sections.sections[SECTIONS_GREETING].kind, SECTION_GREETING);
    cr_expect_eq(sections_complete(&sections), 0);
    cr_expect_eq(sections.sections[SECTIONS_SERVER].values.server.backlog, 4096);
}

Test(loader, merges_sections_of_the_same_name_across_files)
{
    read_text("a", "[Listener x]\nLingerSec=1\n[Server]\nBacklog=1\n"
                   "[Listener y]\nLingerSec=2\n[Listener x]\nWriteTimeoutSec=3\n");
    read_text("b", "[Listener y]\nWriteTimeoutSec=4\n[Server]\nWorkers=5\n");
    cr_assert_eq(sections_complete(&sections), 0);
    cr_assert_str_eq(mistakes(), "");

    cr_assert_eq(sections.n, SECTIONS_FIRST_LISTENER + 2);
    cr_expect_str_eq(sections.sections[SECTIONS_FIRST_LISTENER].name, "x");
    cr_expect_eq(listener(0)->greeting.linger_usec, 1000000);
    cr_expect_eq(listener(0)->greeting.write_timeout_usec, 3000000);
    cr_expect_str_eq(sections.sections[SECTIONS_FIRST_LISTENER + 1].name, "y");
    cr_expect_eq(listener(1)->greeting.linger_usec, 2000000);
    cr_expect_eq(listener(1)->greeting.write_timeout_usec, 4000000);
    cr_expect_eq(sections.sections[SECTIONS_SERVER].values.server.backlog, 1);
    cr_expect_eq(sections.sections[SECTIONS_SERVER].values.server.workers, 5);
}

Test(loader, takes_upper_and_lower_case_of_a_name_for_two_listeners)
{
    read_text("a", "[Listener x]\n[Listener X]\n");
    cr_expect_eq(sections.n, SECTIONS_FIRST_LISTENER + 2);
}

Test(loader, lets_a_listener_inherit_from_a_greeting_that_comes_later)
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
    cr_expect_str_eq(mistakes(), "b:1: This setting stands before any [Section]: Backlog=1\n");
}

Test(loader, reports_all_mistakes_with_their_lines)
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
        mistakes(),
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

Test(loader, reports_an_unknown_section_once_and_not_what_is_in_it)
{
    read_text("a", "[Server]\n[Sever]\nBacklog=1\nColour=2\n[Server]\nWorkers=0\n");
    cr_expect_str_eq(mistakes(), "a:2: Unknown section [Sever]; did you mean [Server]?\n"
                                 "a:6: Workers=0: must be auto or a number from 1 to 1024\n");
    cr_expect_eq(sections.sections[SECTIONS_SERVER].values.server.backlog, 0);
}

Test(loader, suggests_the_word_that_was_probably_meant)
{
    read_text("a", "[Log]\nLevel=wraning\nLevel=loud\n");
    cr_expect_str_eq(mistakes(),
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
    cr_expect_str_eq(sections.sections[SECTIONS_GREETING].values.greeting.message, "good");
}

Test(loader, shows_control_characters_of_a_bad_value_by_number)
{
    read_text("a", "[Server]\nBacklog=\x1b[2J\n");
    cr_expect_str_eq(mistakes(), "a:2: Backlog=\\x1b[2J: must be a number from 1 to 2147483647\n");
}

Test(loader, lets_options_replace_what_files_say)
{
    const char *listen[] = {"1", "@two"};

    read_text("a", "[Server]\nListenStream=80\n[Greeting]\nMessageFile=/f\n"
                   "[Listener x]\nListenStream=81\nMessage=its own\n[Listener y]\n");
    cr_assert_eq(loader_read_options(&sections, listen, 2, "hi", &diagnostics), 0);
    cr_assert_eq(sections_complete(&sections), 0);
    cr_assert_str_eq(mistakes(), "");

    const struct address_list *list = &sections.sections[SECTIONS_SERVER].values.listen;
    cr_assert_eq(list->n, 2);
    cr_expect_str_eq(list->texts[0], "1");
    cr_expect_str_eq(list->origins[0], "command line");
    cr_expect_str_eq(list->texts[1], "@two");
    const struct greeting_settings *greeting =
        &sections.sections[SECTIONS_GREETING].values.greeting;
    cr_expect_str_eq(greeting->message, "hi");
    cr_expect_null(greeting->message_file);
    cr_expect_eq(listener(0)->listen.n, 1);
    cr_expect_str_eq(listener(0)->greeting.message, "its own");
    cr_expect_str_eq(listener(1)->greeting.message, "hi");
}

Test(loader, is_not_changed_by_options_that_are_not_given)
{
    read_text("a", "[Server]\nListenStream=80\n[Greeting]\nMessage=hi\n");
    cr_assert_eq(loader_read_options(&sections, NULL, 0, NULL, &diagnostics), 0);
    cr_expect_eq(sections.sections[SECTIONS_SERVER].values.listen.n, 1);
    cr_expect_str_eq(sections.sections[SECTIONS_GREETING].values.greeting.message, "hi");
}

Test(loader, can_be_given_an_empty_message_as_an_option)
{
    cr_assert_eq(loader_read_options(&sections, NULL, 0, "", &diagnostics), 0);
    cr_assert_eq(sections_complete(&sections), 0);
    cr_expect_str_eq(sections.sections[SECTIONS_GREETING].values.greeting.message, "");
}

Test(loader, reports_mistakes_in_options_under_their_own_names)
{
    const char *listen[] = {"foo:1", "", "80"};

    cr_assert_eq(loader_read_options(&sections, listen, 3, "a\\", &diagnostics), 0);
    cr_expect_str_eq(
        mistakes(),
        "command line: --listen=foo:1: what stands before the port is not an IPv4 address; names "
        "are not looked up\n"
        "command line: --listen=: the address is missing\n"
        "command line: --message=: bad escape \\ at byte 2; the escapes are \\n, \\r, \\t, \\\\ "
        "and \\xHH\n");
}

Test(loader, reports_an_address_that_is_there_twice)
{
    read_text("a", "[Listener x]\nListenStream=/run/x\nListenStream=80\n"
                   "[Listener y]\nListenStream=/run/x\n"
                   "[Server]\nListenStream=[::]:80\nListenStream=/run/x\n");
    cr_assert_eq(sections_complete(&sections), 0);
    sections_find_duplicates(&sections, &diagnostics);
    cr_expect_str_eq(mistakes(),
                     "a:2: ListenStream=/run/x: the same address is given already (a:8)\n"
                     "a:3: ListenStream=80: the same address is given already (a:7)\n"
                     "a:5: ListenStream=/run/x: the same address is given already (a:8)\n");
}

Test(loader, reports_an_address_that_is_the_default_already)
{
    read_text("a", "[Listener x]\nListenStream=127.0.0.1:12345\n");
    cr_assert_eq(sections_complete(&sections), 0);
    sections_find_duplicates(&sections, &diagnostics);
    cr_expect_str_eq(
        mistakes(),
        "a:2: ListenStream=127.0.0.1:12345: the same address is given already (default)\n");
}

Test(loader, reports_an_option_that_is_there_twice)
{
    const char *listen[] = {"80", "81", "80"};

    cr_assert_eq(loader_read_options(&sections, listen, 3, NULL, &diagnostics), 0);
    sections_find_duplicates(&sections, &diagnostics);
    cr_expect_str_eq(mistakes(), "command line: --listen=80: the same address is given already "
                                 "(command line)\n");
}

Test(loader, allows_any_number_of_addresses_whose_port_the_kernel_chooses)
{
    read_text("a", "[Server]\nListenStream=127.0.0.1:0\nListenStream=127.0.0.1:0\n"
                   "[Listener x]\nListenStream=127.0.0.1:0\n");
    cr_assert_eq(sections_complete(&sections), 0);
    sections_find_duplicates(&sections, &diagnostics);
    cr_expect_str_eq(mistakes(), "");
}
