/* SPDX-License-Identifier: MIT */
#include "greetd/config/config.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "greetd/config/setting_table.h"
#include "support/config_fixture.h"

TestSuite(config_show, .init = set_up, .fini = tear_down);

/* Returns the output of config_show(), which is the caller's to free(). */
static char *show(const struct config *config)
{
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);

    cr_assert_eq(config_show(config, stream), 0);
    cr_assert_eq(fclose(stream), 0);
    return text;
}

/* The same without the comments with the origins. */
static char *show_without_origins(const struct config *config)
{
    char *text = show(config), *to = text;

    for (char *line = text, *next; *line != '\0'; line = next) {
        next = strchrnul(line, '\n');
        next += *next == '\n';
        if (line[0] != '#') {
            memmove(to, line, (size_t)(next - line));
            to += next - line;
        }
    }
    *to = '\0';
    return text;
}

Test(config_show, prints_every_setting_with_its_origin)
{
    struct config *config = load_text("[Greeting]\nMessage=a\n[Listener x]\nLingerSec=1\n");
    char *text = show(config), expected[4096];
    const char *path = temp_dir_path(&temp_dir, "greetd.conf");

    snprintf(expected, sizeof(expected),
             "[Server]\n"
             "# default\nListenStream=127.0.0.1:12345\n"
             "# default\nBacklog=4096\n"
             "# default\nWorkers=auto\n"
             "# default\nMaxConnections=16384\n"
             "# default\nIdleExitSec=infinity\n"
             "# default\nStopTimeoutSec=5s\n"
             "# default\nStopDelaySec=0\n"
             "# default\nFastOpen=no\n"
             "# default\nReusePort=no\n"
             "\n[Limits]\n"
             "# default\nMaxConnectionsPerSource=infinity\n"
             "# default\nRateLimitPerSourceIntervalSec=1s\n"
             "# default\nRateLimitPerSourceBurst=infinity\n"
             "\n[Log]\n"
             "# default\nConnections=yes\n"
             "# default\nLogSilentConnections=yes\n"
             "# default\nRateLimitIntervalSec=30s\n"
             "# default\nRateLimitBurst=5000\n"
             "# default\nLevel=info\n"
             "\n[Greeting]\n"
             "# %s:2\nMessage=a\n"
             "# default\nExpand=yes\n"
             "# default\nPick=whole\n"
             "# default\nWatch=no\n"
             "# default\nMaxAgeSec=infinity\n"
             "# default\nProxyProtocol=no\n"
             "# default\nGreetOn=connect\n"
             "# default\nDataTimeoutSec=5s\n"
             "# default\nDripSec=0\n"
             "# default\nDripRepeat=no\n"
             "# default\nLingerSec=2s\n"
             "# default\nWriteTimeoutSec=30s\n"
             "# default\nLogConnections=yes\n"
             "\n[Listener x]\n"
             "# default\nListenStream=\n"
             "# %s:2\nMessage=a\n"
             "# default\nExpand=yes\n"
             "# default\nPick=whole\n"
             "# default\nWatch=no\n"
             "# default\nMaxAgeSec=infinity\n"
             "# default\nProxyProtocol=no\n"
             "# default\nGreetOn=connect\n"
             "# default\nDataTimeoutSec=5s\n"
             "# default\nDripSec=0\n"
             "# default\nDripRepeat=no\n"
             "# %s:4\nLingerSec=1s\n"
             "# default\nWriteTimeoutSec=30s\n"
             "# default\nLogConnections=yes\n",
             path, path, path);
    cr_expect_str_eq(text, expected);
    free(text);
    config_unref(config);
}

Test(config_show, prints_a_default_that_follows_another_section_as_a_default)
{
    struct config *config = load_text("[Log]\nConnections=no\n[Listener x]\n");
    char *text = show(config), *found = strstr(text, "# default\nLogConnections=no\n");

    cr_assert_not_null(found, "%s", text);
    cr_expect_not_null(strstr(found + 1, "# default\nLogConnections=no\n"), "%s", text);
    free(text);
    config_unref(config);
}

static void expect_same_listener(const struct config_listener *a, const struct config_listener *b)
{
    cr_expect_str_eq(a->name, b->name);
    expect_greeting(a, b->greeting->bytes, b->greeting->size);
    cr_expect_eq(a->greeting->n_pieces, b->greeting->n_pieces);
    cr_expect_eq(a->settings.expand, b->settings.expand);
    cr_expect_eq(a->settings.greet_on, b->settings.greet_on);
    cr_expect_eq(a->settings.data_timeout_usec, b->settings.data_timeout_usec);
    cr_expect_eq(a->settings.linger_usec, b->settings.linger_usec);
    cr_expect_eq(a->settings.write_timeout_usec, b->settings.write_timeout_usec);
    cr_expect_eq(a->settings.log_connections, b->settings.log_connections);
    cr_expect_eq(a->log_silent, b->log_silent);
    cr_expect_eq(a->settings.message_file == NULL, b->settings.message_file == NULL);
    cr_assert_eq(a->addresses.n, b->addresses.n);
    for (size_t i = 0; i < a->addresses.n; i++)
        cr_expect_str_eq(a->addresses.texts[i], b->addresses.texts[i]);
}

/* Loads the output for CONFIG and compares the two configurations. */
static void expect_same_when_loaded_again(const struct config *config)
{
    char *shown = show(config);
    struct config *again = load(temp_dir_write_text(&temp_dir, "shown.conf", shown));

    cr_assert_not_null(again, "%s\n%s", diagnostics.n_lines > 0 ? diagnostics.lines[0] : "", shown);
    cr_expect_eq(
        memcmp(config_server(again), config_server(config), sizeof(struct server_settings)), 0);
    expect_same_listener(config_default_listener(again), config_default_listener(config));
    cr_assert_eq(config_n_listeners(again), config_n_listeners(config));
    for (size_t i = 0; i < config_n_listeners(config); i++)
        expect_same_listener(config_listener_at(again, i), config_listener_at(config, i));

    char *text = show_without_origins(config), *text_again = show_without_origins(again);
    cr_expect_str_eq(text_again, text);
    free(shown);
    free(text);
    free(text_again);
    config_unref(again);
}

Test(config_show, prints_a_file_that_loads_as_the_same_configuration)
{
    static const char *const texts[] = {
        "",
        "[Server]\nListenStream=\nBacklog=1\nWorkers=3\nMaxConnections=5\n",
        "[Server]\nStopTimeoutSec=infinity\n",
        "[Limits]\nMaxConnectionsPerSource=1\nRateLimitPerSourceBurst=7\n",
        "[Limits]\nAllow=192.0.2.1 any\nDeny=/dev/null ::/0\n[Listener x]\nDeny=2001:db8::/32\n",
        "[Greeting]\nProxyProtocol=yes\nProxyTrustedSources=localhost\n[Listener x]\n",
        "[Greeting]\nRefuseMessage=no\\n\n[Listener x]\nProxyProtocol=no\n",
        "[Log]\nLogSilentConnections=no\n",
        "[Log]\nRateLimitIntervalSec=0\nRateLimitBurst=infinity\nLevel=emerg\n",
        "[Server]\nListenStream=80\nListenStream=@a b\nListenStream=[fe80::1]:80%lo\n",
        "[Greeting]\nMessageFile=/dev/null\n[Listener x]\nMessage=own\n[Listener y]\n",
        "[Greeting]\nMessage=own\n[Listener x]\nMessageFile=/dev/null\nListenStream=/run/x y\n",
        "[Greeting]\nMessage=\nLingerSec=0\nWriteTimeoutSec=1us\n",
        "[Greeting]\nLingerSec=1y 2M 3w 4d 5h 6min 7s 8ms 9us\nWriteTimeoutSec=infinity\n",
        "[Greeting]\nGreetOn=data\nDataTimeoutSec=7s\n[Listener x]\nGreetOn=connect\n",
        "[Greeting]\nDripSec=1\nDripRepeat=yes\n[Listener x]\n[Listener y]\nDripSec=0\n",
        "[Log]\nConnections=no\n[Listener x]\n[Listener y]\nLogConnections=yes\n",
        "[Log]\nConnections=no\n[Greeting]\nLogConnections=yes\n[Listener x]\n",
        "[Greeting]\nMessage=\\x20two spaces\\x20\\x20\n",
        "[Greeting]\nMessage=one \\\n  two\n",
        "[Greeting]\nMessage=ends in a backslash\\\\\n[Listener x]\nMessage=\\\\\\\\\n",
        "[Greeting]\nMessage=# no comment\n[Listener x]\nMessage=; nor this\n",
        "[Greeting]\nMessage=[Server]\\nBacklog=1\n[Listener x]\nMessage==\n",
        "[Greeting]\nMessage=\"quoted\" 'too' %n $x\nExpand=no\n[Listener x]\nMessage=b\n",
        "[Greeting]\nMessage=$$ $remote_addr\n[Listener x]\nMessageFile=/dev/null\n",
        "[Greeting]\nMessageFile=/dev/null\nExpand=yes\n[Listener x]\nMessage=$connection\n",
        "[Greeting]\nMessage=\\x00\\xff\\r\\n\\t\xff\xfe\n",
        "[Greeting]\nMessage=a\vb\tc\x01\n",
        "[Listener a b=c]#/\\]\nListenStream=1\n[Listener ;]\n[Listener Server]\n",
    };

    for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
        struct config *config = load_text(texts[i]);
        expect_same_when_loaded_again(config);
        config_unref(config);
    }
}

/* A backslash at the end of a line would join the next line to it. */
Test(config_show, keeps_a_backslash_at_the_end_of_a_path)
{
    char text[256];

    snprintf(text, sizeof(text), "[Greeting]\nMessageFile=%s \n",
             temp_dir_write_text(&temp_dir, "file\\", ""));
    struct config *config = load_text(text);
    expect_same_when_loaded_again(config);
    config_unref(config);
}

/* On the command line a message can have newlines, and blanks at its edges. */
Test(config_show, escapes_a_message_that_no_file_can_have)
{
    static const char *const messages[] = {" a ",  "\ta\t", "a\nb\n", "\n",     "\r",
                                           " ",    "",      "#\n#",   "a\\\\ ", "\\\\\n[Server]\n",
                                           "\x01 "};
    const char *path = temp_dir_write_text(&temp_dir, "greetd.conf", "[Listener x]\n");

    for (size_t i = 0; i < ELEMENTSOF(messages); i++) {
        const struct config_options options = {.path = path, .message = messages[i]};
        struct config *config = NULL;
        cr_assert_eq(config_load(&config, &options, &diagnostics), 0);
        expect_same_when_loaded_again(config);
        config_unref(config);
        path = temp_dir_path(&temp_dir, "greetd.conf");
    }
}

Test(config_show, returns_the_error_of_writing)
{
    struct config *config = load_text("");
    FILE *full = fopen("/dev/full", "w");

    cr_assert_not_null(full);
    cr_expect_eq(config_show(config, full), -ENOSPC);
    fclose(full);
    config_unref(config);
}

/* The example with every setting in a comment uncommented. Prose has a space after its `#`. */
static char *uncomment_example(void)
{
    FILE *example = fopen(GREETD_CONF_EXAMPLE, "r");
    char line[1024], *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);

    cr_assert_not_null(example, "%s", GREETD_CONF_EXAMPLE);
    while (fgets(line, sizeof(line), example))
        if (line[0] != '#')
            fputs(line, stream);
        else if (line[1] != ' ' && line[1] != '\n')
            fputs(line + 1, stream);
    fclose(example);
    cr_assert_eq(fclose(stream), 0);
    return text;
}

Test(config_show, prints_the_defaults_for_the_example)
{
    struct config *defaults = load_text(""), *example = load(GREETD_CONF_EXAMPLE);
    cr_assert_not_null(example);
    char *text = show(example), *expected = show(defaults);

    cr_expect_str_eq(text, expected);
    free(text);
    free(expected);
    config_unref(example);
    config_unref(defaults);
}

Test(config_show, prints_the_defaults_for_the_uncommented_example)
{
    char *text = uncomment_example();
    struct config *example = load_text(text);
    struct config *defaults = load_text("[Listener NAME]\n");

    char *shown = show_without_origins(example), *expected = show_without_origins(defaults);
    cr_expect_str_eq(shown, expected);
    free(shown);
    free(expected);
    free(text);
    config_unref(example);
    config_unref(defaults);
}

/* Returns whether TEXT assigns to NAME below the header of a section of KIND. */
static bool example_has(const char *text, enum section_kind kind, const char *name)
{
    char header[SECTION_TEXT_MAX], assignment[64];

    snprintf(assignment, sizeof(assignment), "\n%s=", name);
    const char *section = strstr(text, section_format(kind, NULL, header));
    if (!section)
        return false;
    const char *found = strstr(section, assignment), *next = strstr(section, "\n[");
    return found && (!next || found < next);
}

Test(config_show, finds_every_setting_in_the_example)
{
    static const enum section_kind kinds[] = {SECTION_SERVER, SECTION_LIMITS, SECTION_LOG,
                                              SECTION_GREETING, SECTION_LISTENER};
    char *text = uncomment_example();

    for (const struct setting *setting = setting_table; setting->name; setting++)
        for (size_t i = 0; i < ELEMENTSOF(kinds); i++)
            if ((setting->sections & kinds[i]) != 0)
                cr_expect(example_has(text, kinds[i], setting->name), "%s", setting->name);
    free(text);
}

/* The descriptor can be written to again, but a part of the text is lost. */
Test(config_show, fails_if_the_stream_has_failed_before)
{
    struct config *config = load_text("[Greeting]\nMessage=a\n");
    FILE *stream = fopen("/dev/full", "we");
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

    cr_assert_not_null(stream);
    setvbuf(stream, NULL, _IONBF, 0);
    cr_expect_eq(config_show(config, stream), -ENOSPC);
    cr_assert_geq(dup2(null, fileno(stream)), 0);
    cr_expect_eq(config_show(config, stream), -EIO);
    fclose(stream);
    config_unref(config);
}
