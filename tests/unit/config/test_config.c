/* SPDX-License-Identifier: MIT */
#include "greetd/config/config.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "support/config_fixture.h"

TestSuite(config, .init = set_up, .fini = tear_down);

static void expect_line(size_t index, const char *name, const char *text)
{
    char expected[PATH_MAX + 128];

    cr_assert_lt(index, diagnostics.n_lines);
    snprintf(expected, sizeof(expected), "%s%s", temp_dir_path(&temp_dir, name), text);
    cr_expect_str_eq(diagnostics.lines[index], expected);
}

Test(config, is_the_ten_lines_of_python_by_default)
{
    struct config *config = load_text("");
    const struct config_listener *listener = config_default_listener(config);

    cr_expect_str_eq(listener->name, "server");
    expect_greeting(listener, "Hello from server!", 18);
    cr_assert_eq(listener->addresses.n, 1);
    cr_expect_str_eq(listener->addresses.texts[0], "127.0.0.1:12345");
    cr_expect_eq(config_n_listeners(config), 0);
    cr_expect_eq(config_server(config)->max_connections, 16384);
    config_unref(config);
}

Test(config, has_its_listeners_in_order_and_by_name)
{
    struct config *config = load_text("[Listener b]\nListenStream=@b\nMessage=bee\n"
                                      "[Listener a]\nLingerSec=7\n[Greeting]\nMessage=all\\n\n");

    cr_assert_eq(config_n_listeners(config), 2);
    const struct config_listener *b = config_listener_at(config, 0);
    const struct config_listener *a = config_listener_at(config, 1);
    cr_expect_str_eq(b->name, "b");
    cr_expect_eq(b->addresses.n, 1);
    expect_greeting(b, "bee", 3);
    cr_expect_eq(b->settings.linger_usec, 2000000);
    cr_expect_str_eq(a->name, "a");
    cr_expect_eq(a->addresses.n, 0);
    expect_greeting(a, "all\n", 4);
    cr_expect_eq(a->settings.linger_usec, 7000000);

    cr_expect_eq(config_find_listener(config, "a"), a);
    cr_expect_eq(config_find_listener(config, "b"), b);
    cr_expect_null(config_find_listener(config, "c"));
    cr_expect_null(config_find_listener(config, "A"));
    config_unref(config);
}

Test(config, does_not_find_the_default_listener_by_name)
{
    struct config *config = load_text("");
    cr_expect_null(config_find_listener(config, CONFIG_SERVER_NAME));
    config_unref(config);
}

Test(config, logs_connections_as_in_log_unless_a_nearer_section_sets_it)
{
    static const struct {
        const char *text;
        bool server, x;
    } rows[] = {
        {"[Listener x]\n", true, true},
        {"[Listener x]\n[Log]\nConnections=no\n", false, false},
        {"[Log]\nConnections=no\n[Listener x]\nLogConnections=yes\n", false, true},
        {"[Log]\nConnections=no\n[Greeting]\nLogConnections=yes\n[Listener x]\n", true, true},
        {"[Greeting]\nLogConnections=no\n[Listener x]\n", false, false},
        {"[Greeting]\nLogConnections=no\n[Listener x]\nLogConnections=yes\n", false, true},
        {"[Greeting]\nLogConnections=no\nLogConnections=\n[Listener x]\n", true, true},
        {"[Greeting]\nLogConnections=no\n[Listener x]\nLogConnections=yes\nLogConnections=\n",
         false, false},
    };

    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        struct config *config = load_text(rows[i].text);
        const struct config_listener *server = config_default_listener(config);

        cr_expect_eq(server->settings.log_connections, rows[i].server, "%s", rows[i].text);
        cr_expect_eq(config_listener_at(config, 0)->settings.log_connections, rows[i].x, "%s",
                     rows[i].text);
        config_unref(config);
    }
}

Test(config, logs_silent_connections_of_every_listener_or_of_none)
{
    struct config *all = load_text("[Listener x]\n");
    struct config *none = load_text("[Listener x]\n[Log]\nLogSilentConnections=no\n");

    cr_expect(config_default_listener(all)->log_silent);
    cr_expect(config_listener_at(all, 0)->log_silent);
    cr_expect_not(config_default_listener(none)->log_silent);
    cr_expect_not(config_listener_at(none, 0)->log_silent);
    config_unref(all);
    config_unref(none);
}

Test(config, reads_drop_ins_after_the_main_file)
{
    temp_dir_mkdir(&temp_dir, "greetd.conf.d");
    temp_dir_write_text(&temp_dir, "greetd.conf.d/20.conf", "[Greeting]\nMessage=twenty\n");
    temp_dir_write_text(&temp_dir, "greetd.conf.d/10.conf",
                        "[Greeting]\nMessage=ten\n[Server]\nListenStream=\nListenStream=11\n");
    struct config *config = load_text("[Server]\nListenStream=10\n[Greeting]\nMessage=main\n");

    expect_greeting(config_default_listener(config), "twenty", 6);
    cr_assert_eq(config_default_listener(config)->addresses.n, 1);
    cr_expect_str_eq(config_default_listener(config)->addresses.texts[0], "11");
    config_unref(config);
}

Test(config, reads_message_files)
{
    static const char bytes[] = {'$', 'a', '\\', 'n', '\0', '\xff', '\n'};
    char text[PATH_MAX + 64];

    snprintf(text, sizeof(text), "[Greeting]\nMessageFile=%s\n[Listener x]\n",
             temp_dir_write(&temp_dir, "message", bytes, sizeof(bytes)));
    struct config *config = load_text(text);
    expect_greeting(config_default_listener(config), bytes, sizeof(bytes));
    expect_greeting(config_listener_at(config, 0), bytes, sizeof(bytes));
    cr_expect_null(config_listener_at(config, 0)->settings.message);
    config_unref(config);
}

Test(config, compiles_an_inherited_greeting_once)
{
    struct config *config = load_text("[Greeting]\nMessage=a\n[Listener x]\n"
                                      "[Listener y]\nMessage=a\n");

    const struct greeting *greeting = config_default_listener(config)->greeting;
    cr_expect_eq(config_listener_at(config, 0)->greeting, greeting);
    cr_expect_neq(config_listener_at(config, 1)->greeting, greeting);
    config_unref(config);
}

Test(config, compiles_an_inherited_greeting_again_for_another_expand)
{
    struct config *config = load_text("[Greeting]\nMessage=$$\n[Listener x]\nExpand=no\n");

    expect_greeting(config_default_listener(config), "$", 1);
    expect_greeting(config_listener_at(config, 0), "$$", 2);
    config_unref(config);
}

Test(config, expands_a_message_file_only_with_expand)
{
    char text[PATH_MAX + 128];
    const char *path = temp_dir_write_text(&temp_dir, "message", "$$\\n");

    snprintf(text, sizeof(text), "[Greeting]\nMessageFile=%s\n[Listener x]\nExpand=yes\n", path);
    struct config *config = load_text(text);
    expect_greeting(config_default_listener(config), "$$\\n", 4);
    expect_greeting(config_listener_at(config, 0), "$\\n", 3);
    config_unref(config);
}

/* A variable is an error only where the message is in force and expanded. */
Test(config, reports_a_bad_variable_by_the_line_of_its_message)
{
    char text[PATH_MAX + 512];
    const char *file = temp_dir_write_text(&temp_dir, "message", "Hi $nobody");

    snprintf(text, sizeof(text),
             "[Greeting]\nMessage=from $remote_adr\n[Listener x]\n[Listener y]\nExpand=yes\n"
             "MessageFile=%s\n[Listener z]\nMessage=5$\nExpand=no\n[Listener w]\n"
             "Message=$nothing\nMessage=\n[Listener v]\nMessage=\\q$nothing\n",
             file);
    const char *path = temp_dir_write_text(&temp_dir, "greetd.conf", text);
    cr_assert_null(load(path));
    cr_expect_eq(diagnostics.n_errors, 4);
    expect_line(0, "greetd.conf",
                ":14: Message=: bad escape \\q at byte 1; the escapes are \\n, \\r, \\t, \\\\ and "
                "\\xHH");
    expect_line(1, "greetd.conf",
                ":2: Message=: unknown variable $remote_adr at byte 6; did you mean $remote_addr?");
    snprintf(text, sizeof(text), ":6: MessageFile=%s:1: unknown variable $nobody at byte 4",
             temp_dir_path(&temp_dir, "message"));
    expect_line(2, "greetd.conf", text);
    expect_line(3, "greetd.conf", ":14: Message=: unknown variable $nothing at byte 3");
}

Test(config, reports_a_bad_variable_on_the_command_line)
{
    const struct config_options options = {
        .path = temp_dir_write_text(&temp_dir, "greetd.conf", "[Greeting]\n"),
        .message = "$connexion",
    };
    struct config *config = NULL;

    cr_assert_eq(config_load(&config, &options, &diagnostics), -EBADMSG);
    cr_assert_eq(diagnostics.n_lines, 1);
    cr_expect_str_eq(diagnostics.lines[0],
                     "command line: --message=: unknown variable $connexion at "
                     "byte 1; did you mean $connection?");
}

Test(config, reports_an_unreadable_message_file_by_its_line)
{
    const char *path = temp_dir_write_text(&temp_dir, "greetd.conf",
                                           "[Greeting]\nMessageFile=/nonexistent\n"
                                           "[Listener x]\n[Listener y]\nMessageFile=/dev/zero\n"
                                           "[Server]\nBacklog=0\n");

    cr_assert_null(load(path));
    cr_expect_eq(diagnostics.n_errors, 3);
    expect_line(0, "greetd.conf", ":7: Backlog=0: must be a number from 1 to 2147483647");
    expect_line(1, "greetd.conf", ":2: MessageFile=/nonexistent: No such file or directory");
    expect_line(2, "greetd.conf", ":5: MessageFile=/dev/zero: Not a regular file");
}

/* An unreadable file may be readable later; any other error needs a change of the configuration. */
Test(config, distinguishes_unreadable_files_from_other_errors)
{
    static const struct {
        const char *text;
        int error;
    } rows[] = {
        {"[Greeting]\nMessageFile=/nonexistent\n[Listener x]\nMessageFile=/none\n", -ENOENT},
        {"[Greeting]\nMessageFile=/nonexistent\n[Listener x]\nMessageFile=/\n", -EBADMSG},
        {"[Greeting]\nMessageFile=/dev/zero\n", -EBADMSG},
    };

    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        struct config_options options = {
            .path = temp_dir_write_text(&temp_dir, "greetd.conf", rows[i].text)};
        struct config *config = NULL;

        cr_expect_eq(config_load(&config, &options, &diagnostics), rows[i].error, "%s",
                     rows[i].text);
    }
}

Test(config, does_not_read_a_message_file_that_is_not_in_force)
{
    struct config *config = load_text("[Greeting]\nMessageFile=/nonexistent\nMessage=a\n");
    expect_greeting(config_default_listener(config), "a", 1);
    config_unref(config);
}

Test(config, must_have_the_file_that_is_named)
{
    cr_assert_null(load(temp_dir_path(&temp_dir, "none.conf")));
    cr_expect_eq(diagnostics.n_errors, 1);
    expect_line(0, "none.conf", ": No such file or directory");
}

Test(config, reports_errors_of_all_files_in_one_run)
{
    temp_dir_mkdir(&temp_dir, "greetd.conf.d");
    temp_dir_write_text(&temp_dir, "greetd.conf.d/a.conf", "[Greeting]\n\nLingerSec=x\n");
    temp_dir_symlink(&temp_dir, "nowhere", "greetd.conf.d/b.conf");
    const char *path = temp_dir_write_text(&temp_dir, "greetd.conf", "[Server]\nWorkers=-1\n");

    cr_assert_null(load(path));
    cr_assert_eq(diagnostics.n_lines, 3);
    expect_line(0, "greetd.conf.d/b.conf", ": No such file or directory");
    expect_line(1, "greetd.conf", ":2: Workers=-1: must be auto or a number from 1 to 1024");
    expect_line(2, "greetd.conf.d/a.conf",
                ":3: LingerSec=x: must be a time such as 5 (seconds), 500ms, 1min 30s or infinity");
}

Test(config, reports_a_drip_without_a_pause_or_an_end)
{
    cr_assert_null(load(temp_dir_write_text(&temp_dir, "greetd.conf",
                                            "[Listener x]\nDripSec=infinity\n"
                                            "[Greeting]\nDripRepeat=yes\n")));
    cr_assert_eq(diagnostics.n_lines, 2);
    expect_line(0, "greetd.conf",
                ":2: DripSec=infinity: must be a time such as 5 (seconds), 500ms or 1min 30s");
    expect_line(1, "greetd.conf", ":4: DripRepeat= needs DripSec=");
}

Test(config, is_overridden_by_the_command_line)
{
    const char *listen[] = {"@one", "@two"};
    struct config_options options = {
        .path = temp_dir_write_text(&temp_dir, "greetd.conf",
                                    "[Server]\nListenStream=80\n[Greeting]\nMessage=file\n"),
        .listen = listen,
        .n_listen = 2,
        .message = "a\\x20",
    };
    struct config *config = NULL;

    cr_expect_eq(config_check_options(&options, &diagnostics), 0);
    cr_assert_eq(config_load(&config, &options, &diagnostics), 0);
    expect_greeting(config_default_listener(config), "a ", 2);
    cr_assert_eq(config_default_listener(config)->addresses.n, 2);
    cr_expect_str_eq(config_default_listener(config)->addresses.texts[1], "@two");
    config_unref(config);
}

Test(config, checks_the_command_line_without_any_file)
{
    const char *listen[] = {"foo", "80", "80"};
    struct config_options options = {
        .path = "/nonexistent", .listen = listen, .n_listen = 3, .message = "\\q"};

    cr_expect_eq(config_check_options(&options, &diagnostics), -EBADMSG);
    cr_assert_eq(diagnostics.n_lines, 3);
    for (size_t i = 0; i < diagnostics.n_lines; i++)
        cr_expect_eq(strncmp(diagnostics.lines[i], "command line: --", 16), 0, "%s",
                     diagnostics.lines[i]);

    diagnostics_deinit(&diagnostics);
    options.n_listen = 0;
    options.message = "good";
    cr_expect_eq(config_check_options(&options, &diagnostics), 0);
    cr_expect_eq(diagnostics.n_errors, 0);
}

Test(config, fails_only_for_errors_of_its_own)
{
    diagnostics_add(&diagnostics, "an older error");
    const struct config_options options = {.path =
                                               temp_dir_write_text(&temp_dir, "greetd.conf", "")};
    struct config *config = NULL;

    cr_expect_eq(config_check_options(&options, &diagnostics), 0);
    cr_assert_eq(config_load(&config, &options, &diagnostics), 0);
    config_unref(config);
}

/* Owns one reference; takes and drops others, and reads in between. */
static void *hold(void *argument)
{
    struct config *config = argument;

    for (int i = 0; i < 10000; i++) {
        struct config *mine = config_ref(config);
        if (config_default_listener(mine)->greeting->size != 18)
            return NULL;
        config_unref(mine);
    }
    config_unref(config);
    return config;
}

Test(config, lives_until_the_last_of_many_threads_drops_it)
{
    struct config *config = load_text("");
    pthread_t threads[4];

    for (size_t i = 0; i < ELEMENTSOF(threads); i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, hold, config_ref(config)), 0);
    void *const address = config;
    config_unref(config);
    for (size_t i = 0; i < ELEMENTSOF(threads); i++) {
        void *result = NULL;
        cr_assert_eq(pthread_join(threads[i], &result), 0);
        cr_expect_eq(result, address);
    }
}

Test(config, may_be_dropped_where_there_is_none)
{
    config_unref(NULL);
}
