/* SPDX-License-Identifier: MIT */
#include "greetd/config/greetings.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "support/config_fixture.h"

TestSuite(greetings, .init = set_up, .fini = tear_down);

/* The greetings of a section are tested through the listeners of a whole configuration. */

static struct config *load_format(const char *format, ...)
{
    char text[1024];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    return load_text(text);
}

/* Loads FORMAT, in which each %s is the folder of the test, and expects the only error LINE. */
static void expect_error(const char *format, int error, const char *line)
{
    const struct config_options options = {.path = temp_dir_path(&temp_dir, "greetd.conf")};
    struct config *config = NULL;
    char text[1024];

    snprintf(text, sizeof(text), format, temp_dir.directory, temp_dir.directory);
    temp_dir_write_text(&temp_dir, "greetd.conf", text);
    cr_expect_eq(config_load(&config, &options, &diagnostics), error);
    cr_assert_eq(diagnostics.n_lines, 1);
    cr_expect(strstr(diagnostics.lines[0], line), "%s", diagnostics.lines[0]);
}

static void write_message(const char *text)
{
    temp_dir_write_text(&temp_dir, "message", text);
}

static void make_old(const char *name, time_t ago_sec)
{
    const struct timespec when = {.tv_sec = time(NULL) - ago_sec};

    cr_assert_eq(
        utimensat(AT_FDCWD, temp_dir_path(&temp_dir, name), (struct timespec[]){when, when}, 0), 0);
}

static void expect_text(const struct greeting *greeting, const char *text)
{
    cr_assert_eq(greeting->size, strlen(text));
    cr_expect_arr_eq(greeting->bytes, text, strlen(text));
}

Test(greetings, are_shared_with_a_section_that_inherits_them)
{
    struct config *config = load_format("[Server]\nStopDelaySec=1s\n"
                                        "[Greeting]\nMessage=m\nStopMessage=stop\n"
                                        "RefuseMessage=refuse\n"
                                        "[Listener a]\nLingerSec=1s\n"
                                        "[Listener b]\nMessage=m\n"
                                        "[Listener c]\nStopMessage=other\n"
                                        "[Listener d]\nStopMessage=\n"
                                        "[Listener e]\nRefuseMessage=$remote_addr\n");
    const struct config_listener *base = config_default_listener(config);

    cr_expect_eq(config_find_listener(config, "a")->greeting, base->greeting);
    cr_expect_eq(config_find_listener(config, "a")->stop, base->stop);
    cr_expect_neq(config_find_listener(config, "b")->greeting, base->greeting);
    cr_expect_eq(config_find_listener(config, "b")->stop, base->stop);
    cr_expect_eq(config_find_listener(config, "c")->greeting, base->greeting);
    expect_text(config_find_listener(config, "c")->stop, "other");
    cr_expect_eq(config_find_listener(config, "d")->stop, base->stop);
    expect_text(base->refuse, "refuse");
    cr_expect_eq(config_find_listener(config, "d")->refuse, base->refuse);
    cr_expect_gt(config_find_listener(config, "e")->refuse->n_pieces, 0);
    cr_expect_neq(config_find_listener(config, "e")->refuse, base->refuse);
    config_unref(config);
}

Test(greetings, of_a_file_and_its_stale_message_are_shared)
{
    write_message("m");
    struct config *config = load_format("[Greeting]\nMessageFile=%s/message\nWatch=yes\n"
                                        "StaleMessage=stale\n"
                                        "[Listener a]\nLingerSec=1s\n"
                                        "[Listener b]\nExpand=yes\n"
                                        "[Listener c]\nMessage=own\n",
                                        temp_dir.directory);
    const struct config_listener *base = config_default_listener(config),
                                 *b = config_find_listener(config, "b"),
                                 *c = config_find_listener(config, "c");

    cr_expect_eq(config_find_listener(config, "a")->greeting, base->greeting);
    cr_expect_eq(config_find_listener(config, "a")->stale, base->stale);
    cr_expect_neq(b->greeting, base->greeting);
    cr_expect_eq(b->stale, base->stale);
    cr_expect(b->file.expand && b->settings.watch);
    cr_expect_str_eq(b->file.path, base->file.path);
    cr_expect_null(c->stale);
    cr_expect_null(c->file.path);
    cr_expect_not(c->settings.watch);
    config_unref(config);
}

Test(greetings, begin_with_the_stale_message_if_the_file_is_missing)
{
    struct config *config = load_format(
        "[Greeting]\nMessageFile=%s/message\nWatch=yes\nStaleMessage=stale $connection\n",
        temp_dir.directory);
    const struct config_listener *base = config_default_listener(config);

    cr_assert_not_null(base->greeting);
    cr_expect_eq(base->greeting, base->stale);
    config_unref(config);
}

Test(greetings, need_a_file_that_has_no_stale_message)
{
    expect_error("[Greeting]\nMessageFile=%s/message\nWatch=yes\n", -ENOENT,
                 "greetd.conf:2: MessageFile=");
}

Test(greetings, need_a_file_for_a_section_that_inherits_no_stale_message)
{
    expect_error("[Greeting]\nMessageFile=%s/message\nWatch=yes\nStaleMessage=stale\n"
                 "[Listener a]\nWatch=no\n",
                 -ENOENT, "greetd.conf:2: MessageFile=");
}

Test(greetings, begin_with_the_stale_message_if_the_file_is_too_old)
{
    write_message("m");
    for (time_t age_sec = 0; age_sec <= 7200; age_sec += 7200) {
        make_old("message", age_sec);
        struct config *config = load_format("[Greeting]\nMessageFile=%s/message\nWatch=yes\n"
                                            "MaxAgeSec=1h\nStaleMessage=stale\n",
                                            temp_dir.directory);
        expect_greeting(config_default_listener(config), age_sec > 0 ? "stale" : "m",
                        age_sec > 0 ? 5 : 1);
        config_unref(config);
    }
}

/* Watch=yes without a file is reported later, as what has no effect. */
Test(greetings, without_a_file_begin_with_the_message)
{
    struct greeting message = {.size = 1}, stale = {.size = 2};
    const struct greetings greetings = {.message = &message, .stale = &stale};
    const struct setting_values values = {.greeting = {.watch = true, .max_age_usec = 1}};

    cr_expect_eq(greetings_first(&greetings, &values), &message);
}

Test(greetings, of_a_file_with_a_mistake_are_a_mistake_in_spite_of_the_stale_message)
{
    write_message("$nonsense");
    expect_error("[Greeting]\nMessageFile=%s/message\nExpand=yes\nWatch=yes\nStaleMessage=s\n",
                 -EBADMSG, "nonsense");
}

Test(greetings, report_a_mistake_in_each_message_with_its_line)
{
    expect_error("[Server]\nStopDelaySec=1s\n[Greeting]\nStopMessage=$nonsense\n", -EBADMSG,
                 "greetd.conf:4: StopMessage=");
    diagnostics_deinit(&diagnostics);
    diagnostics = DIAGNOSTICS_NULL;
    expect_error("[Greeting]\nMessageFile=%s/message\nWatch=yes\nStaleMessage=$nonsense\n",
                 -EBADMSG, "greetd.conf:4: StaleMessage=");
}

Test(greetings, report_a_mistake_that_is_inherited_only_once)
{
    expect_error("[Server]\nStopDelaySec=1s\n[Greeting]\nStopMessage=$nonsense\n"
                 "[Listener a]\nLingerSec=1s\n",
                 -EBADMSG, "greetd.conf:4: StopMessage=");
}
