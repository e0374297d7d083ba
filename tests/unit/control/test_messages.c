/* SPDX-License-Identifier: MIT */
#include "greetd/control/messages.h"

#include <stdarg.h>
#include <stdio.h>

#include "support/control_fixture.h"
#include "support/fake_clock.h"

TestSuite(messages, .timeout = 60, .init = set_up, .fini = tear_down);

#define MINUTE 60
#define WATCH  "[Greeting]\nMessageFile=%s/message\nWatch=yes\n"
#define STALE  "MaxAgeSec=1h\nStaleMessage=stale\n"

static struct fixture fixture;

static int on_pool_changed(sd_event_source *source, int fd, uint32_t events, void *p)
{
    int error;

    (void)source;
    (void)fd;
    (void)events;
    (void)p;
    (void)pool_state(fixture.pool, &error);
    messages_advance(&fixture.messages);
    return 0;
}

/* The configuration FORMAT, in which %s is the folder of the test. */
static const char *conf(const char *format, ...)
{
    static char text[1024];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    return text;
}

static void write_message(const char *text)
{
    temp_dir_write_text(&temp_dir, "message", text);
}

static void remove_message(void)
{
    cr_assert_eq(unlink(temp_dir_path(&temp_dir, "message")), 0);
}

/* Puts FORMAT in force. */
static void begin(const char *format)
{
    open_fixture(&fixture, conf(format, temp_dir.directory, temp_dir.directory));
    cr_assert_eq(sd_event_add_io(fixture.event, NULL, pool_changed_fd(fixture.pool), EPOLLIN,
                                 on_pool_changed, NULL),
                 0);
    messages_renew(&fixture.messages, fixture.sockets.snapshot);
}

static void run_events(void)
{
    while (sd_event_run(fixture.event, 0) > 0)
        ;
}

/* What a new client of the binding at INDEX receives. */
static const char *greeted(size_t index)
{
    static char text[64];
    int client = net_connect(&fixture.sockets.snapshot->bindings[index].listener->address.in);
    ssize_t n = net_read_to_end(client, text, sizeof(text) - 1);

    close(client);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

/* Runs the event loop until clients receive TEXT. */
static void await_greeting_of(size_t index, const char *text)
{
    for (int i = 0; strcmp(greeted(index), text) != 0; i++) {
        cr_assert_lt(i, 2000, "no client receives %s, but %s", text, greeted(index));
        cr_assert_geq(sd_event_run(fixture.event, 10000), 0);
    }
}

static void await_greeting(const char *text)
{
    await_greeting_of(0, text);
}

/* Closes everything and returns the log. */
static const char *end(void)
{
    return close_fixture(&fixture);
}

static size_t count(const char *text, const char *part)
{
    size_t n = 0;

    while ((text = strstr(text, part))) {
        n++;
        text++;
    }
    return n;
}

static uint64_t n_loads(const char *listener, enum metrics_outcome outcome)
{
    return atomic_load(&metrics_listener(fixture.metrics, listener)->file_loads[outcome]);
}

Test(messages, send_a_changed_file)
{
    write_message("one");
    begin(LISTEN WATCH);
    await_greeting("one");
    write_message("two");
    await_greeting("two");
    temp_dir_write_text(&temp_dir, "new", "three");
    cr_assert_eq(rename(conf("%s/new", temp_dir.directory), temp_dir_path(&temp_dir, "message")),
                 0);
    await_greeting("three");
    cr_expect_eq(n_loads("server", METRICS_FAILURE), 0);
    cr_expect_str_eq(end(), "");
}

Test(messages, leave_a_file_alone_that_is_not_watched)
{
    write_message("one");
    begin(LISTEN "[Greeting]\nMessageFile=%s/message\n");
    write_message("two");
    cr_expect_eq(fixture.messages.n, 0);
    cr_expect_str_eq(greeted(0), "one");
    cr_expect_not(metrics_has_loads(metrics_listener(fixture.metrics, "server")));
    end();
}

Test(messages, log_the_first_failure_and_the_return)
{
    write_message("one");
    begin(LISTEN WATCH "Expand=yes\n");
    for (unsigned i = 1; i <= 3; i++) {
        write_message("$nonsense");
        NET_WAIT_UNTIL((run_events(), n_loads("server", METRICS_FAILURE) >= i));
        cr_expect_str_eq(greeted(0), "one");
    }
    remove_message();
    run_events();
    cr_expect_str_eq(greeted(0), "one");
    write_message("two");
    await_greeting("two");
    const char *log = end();
    cr_expect_eq(count(log, "\n"), 2, "%s", log);
    cr_expect_eq(count(log, "the last good greeting stays\n"), 1, "%s", log);
    cr_expect_eq(count(log, "/message is in order again\n"), 1, "%s", log);
}

Test(messages, count_each_load_once_for_a_listener_with_several_sockets)
{
    write_message("one");
    begin(LISTEN "ListenStream=127.0.0.1:0\n" WATCH);
    uint64_t n = n_loads("server", METRICS_SUCCESS);
    cr_expect_eq(n, 1);
    remove_message();
    run_events();
    cr_expect_eq(n_loads("server", METRICS_FAILURE), 1);
    write_message("two");
    await_greeting_of(0, "two");
    await_greeting_of(1, "two");
    end();
}

/* As systemd names them, with FileDescriptorName=. */
Test(messages, count_no_load_for_a_listener_of_another_name)
{
    write_message("one");
    begin(LISTEN "ListenStream=127.0.0.1:0\n" WATCH);
    fixture.sockets.snapshot->bindings[0].listener->name = strdup("other");
    write_message("two");
    await_greeting_of(0, "two");
    await_greeting_of(1, "two");
    cr_expect_eq(n_loads("server", METRICS_SUCCESS), 2);
    end();
}

Test(messages, belong_to_the_section_of_each_listener)
{
    temp_dir_write_text(&temp_dir, "other", "other");
    write_message("one");
    begin(LISTEN WATCH "[Listener own]\nListenStream=127.0.0.1:0\nMessageFile=%s/other\n"
                       "[Listener same]\nListenStream=127.0.0.1:0\n"
                       "[Listener text]\nListenStream=127.0.0.1:0\nMessage=text\n");
    cr_expect_eq(fixture.messages.n, 3);
    write_message("two");
    await_greeting_of(0, "two");
    await_greeting_of(2, "two");
    cr_expect_str_eq(greeted(1), "other");
    temp_dir_write_text(&temp_dir, "other", "another");
    await_greeting_of(1, "another");
    cr_expect_str_eq(greeted(0), "two");
    cr_expect_str_eq(greeted(3), "text");
    end();
}

Test(messages, become_stale_by_their_age_and_are_renewed)
{
    write_message("one");
    begin(LISTEN WATCH STALE);
    fake_clock.boottime = 59 * MINUTE;
    cr_expect_str_eq(greeted(0), "one");
    run_events();
    fake_clock.boottime = 61 * MINUTE;
    /* The timer of the kernel does not know the step, but the next event does. */
    remove_message();
    await_greeting("stale");
    write_message("two");
    await_greeting("two");
    const char *log = end();
    cr_expect_eq(count(log, "/message was not renewed for 1h: StaleMessage= is sent\n"), 1, "%s",
                 log);
    cr_expect_eq(count(log, "/message is renewed, and sent again\n"), 1, "%s", log);
}

Test(messages, become_stale_without_any_event)
{
    write_message("one");
    begin(LISTEN WATCH "MaxAgeSec=200ms\nStaleMessage=stale\n");
    await_greeting("stale");
    end();
}

Test(messages, send_one_that_is_missing_at_first_as_soon_as_it_exists)
{
    begin(LISTEN WATCH STALE);
    run_events();
    await_greeting("stale");
    write_message("one");
    await_greeting("one");
    const char *log = end();
    cr_expect_eq(count(log, "\n"), 2, "%s", log);
    cr_expect_eq(count(log, "StaleMessage= is sent until it can be read\n"), 1, "%s", log);
    cr_expect_eq(count(log, "/message is in order again\n"), 1, "%s", log);
}

/* Runs the event loop for a moment. Workers that are slow to start cause some turns; a loop that
 * spins has no end of them. */
static void expect_no_spin(void)
{
    unsigned n = 0;

    while (n < 1000 && sd_event_run(fixture.event, 20000) > 0)
        n++;
    cr_expect_lt(n, 200, "%u turns", n);
}

Test(messages, wait_without_spinning_while_one_is_missing)
{
    begin(LISTEN WATCH "MaxAgeSec=1ms\nStaleMessage=stale\n");
    expect_no_spin();
    end();
}

Test(messages, never_become_stale_by_the_greatest_age)
{
    write_message("one");
    begin(LISTEN WATCH "MaxAgeSec=18446744073709551614us\nStaleMessage=stale\n");
    expect_no_spin();
    cr_expect_str_eq(greeted(0), "one");
    end();
}

Test(messages, give_the_stop_message_to_the_listeners_that_have_one)
{
    write_message("one");
    begin(LISTEN "StopDelaySec=1min\n" WATCH
                 "[Listener stops]\nListenStream=127.0.0.1:0\nStopMessage=stopping\n"
                 "[Listener text]\nListenStream=127.0.0.1:0\nMessage=a\nStopMessage=b\n");
    messages_stop(&fixture.messages);
    await_greeting_of(1, "stopping");
    await_greeting_of(2, "b");
    write_message("two");
    await_greeting_of(0, "two");
    run_events();
    cr_expect_str_eq(greeted(1), "stopping");
    end();
}

Test(messages, are_kept_from_the_workers_while_they_are_held)
{
    write_message("one");
    begin(LISTEN WATCH);
    run_events();
    messages_hold(&fixture.messages);
    write_message("two");
    NET_WAIT_UNTIL((run_events(), n_loads("server", METRICS_SUCCESS) == 2));
    cr_expect_str_eq(greeted(0), "one");
    messages_renew(&fixture.messages, fixture.sockets.snapshot);
    await_greeting("two");
    end();
}

Test(messages, have_no_age_in_the_metrics_once_a_reload_has_ended_their_watch)
{
    write_message("one");
    begin(LISTEN WATCH);
    cr_expect_lt(metrics_file_age_usec(metrics_listener(fixture.metrics, "server")),
                 60 * USEC_PER_SEC);
    write_conf(LISTEN "[Greeting]\nMessage=two\n");
    NET_WAIT_UNTIL((run_events(), pool_settled(fixture.pool)));
    fixture.reload.requested = true;
    reload_advance(&fixture.reload);
    await_greeting("two");
    cr_expect_eq(metrics_file_age_usec(metrics_listener(fixture.metrics, "server")), USEC_INFINITY);
    cr_expect(metrics_has_loads(metrics_listener(fixture.metrics, "server")));
    end();
}

Test(messages, load_a_file_again_after_an_error_of_its_path)
{
    write_message("one");
    begin(LISTEN WATCH);
    remove_message();
    temp_dir_symlink(&temp_dir, "message", "message");
    run_events();
    cr_expect_str_eq(greeted(0), "one");
    remove_message();
    temp_dir_symlink(&temp_dir, "./message", "message");
    run_events();
    temp_dir_write_text(&temp_dir, "new", "two");
    cr_assert_eq(rename(conf("%s/new", temp_dir.directory), temp_dir_path(&temp_dir, "message")),
                 0);
    await_greeting("two");
    const char *log = end();
    cr_expect_eq(count(log, "Failed to watch"), 1, "%s", log);
}
