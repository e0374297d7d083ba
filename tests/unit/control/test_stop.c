/* SPDX-License-Identifier: MIT */
#include "greetd/control/stop.h"

#include "support/control_fixture.h"

TestSuite(stop, .timeout = 60, .init = set_up, .fini = tear_down);

#define DELAY "StopDelaySec=50ms\nStopTimeoutSec=7s\n[Greeting]\nMessage=hello\n"

static struct fixture fixture;
static struct stop stop;

static int on_pool_changed(sd_event_source *source, int fd, uint32_t events, void *p)
{
    int error;

    (void)source;
    (void)fd;
    (void)events;
    (void)p;
    if (pool_state(fixture.pool, &error) == WORKER_ENDED)
        return sd_event_exit(fixture.event, 0);
    messages_advance(&fixture.messages);
    return 0;
}

static void begin(const char *text)
{
    open_fixture(&fixture, text);
    cr_assert_eq(sd_event_add_io(fixture.event, NULL, pool_changed_fd(fixture.pool), EPOLLIN,
                                 on_pool_changed, NULL),
                 0);
    messages_renew(&fixture.messages, fixture.sockets.snapshot);
    stop = (struct stop){
        .event = fixture.event,
        .sockets = &fixture.sockets,
        .pool = fixture.pool,
        .logger = fixture.logger,
        .metrics = fixture.metrics,
        .status = &fixture.status,
        .handshake = &fixture.handshake,
        .messages = &fixture.messages,
        .reload = &fixture.reload,
    };
}

static void expect_notified(const char *text)
{
    cr_assert(fake_systemd_has_received("STOPPING=1"));
    cr_expect_str_eq(fake_systemd.last, text);
}

Test(stop, begins_at_once_without_a_delay)
{
    begin(LISTEN "StopTimeoutSec=7s\n");
    cr_assert_geq(stop_request(&stop), 0);
    cr_expect(stop.requested && stop.begun);
    expect_notified("STOPPING=1\nEXTEND_TIMEOUT_USEC=10000000");
    cr_expect_eq(sd_event_loop(fixture.event), 0);
    cr_expect_str_eq(close_fixture(&fixture), "");
}

Test(stop, accepts_clients_during_the_delay)
{
    begin(LISTEN "StopDelaySec=1h\nStopTimeoutSec=7s\n[Greeting]\nMessage=hello\n");
    cr_assert_geq(stop_request(&stop), 0);
    cr_expect(stop.requested && !stop.begun);
    expect_notified("STOPPING=1\nEXTEND_TIMEOUT_USEC=3610000000");
    fake_systemd_await(fixture.event, "stopping in 1h");
    expect_greeted(&fixture, "hello");
    cr_assert_geq(stop_begin(&stop), 0);
    cr_expect_eq(sd_event_loop(fixture.event), 0);
    close_fixture(&fixture);
}

Test(stop, begins_when_the_delay_is_over)
{
    begin(LISTEN DELAY);
    uint64_t before = clock_now();
    cr_assert_geq(stop_request(&stop), 0);
    expect_notified("STOPPING=1\nEXTEND_TIMEOUT_USEC=10050000");
    cr_expect_eq(sd_event_loop(fixture.event), 0);
    cr_expect(stop.begun);
    cr_expect_geq(clock_now() - before, 50000);
    expect_notified("STOPPING=1\nEXTEND_TIMEOUT_USEC=10000000");
    close_fixture(&fixture);
}

Test(stop, has_no_delay_if_the_sockets_are_handed_on)
{
    begin(LISTEN DELAY);
    fixture.sockets.inherited = true;
    cr_assert_geq(stop_request(&stop), 0);
    cr_expect(stop.begun);
    cr_expect_eq(sd_event_loop(fixture.event), 0);
    close_fixture(&fixture);
}

Test(stop, extends_no_timeout_for_ever)
{
    begin(LISTEN "StopDelaySec=infinity\n");
    cr_assert_geq(stop_request(&stop), 0);
    expect_notified("STOPPING=1");
    cr_assert_geq(stop_begin(&stop), 0);
    cr_expect_eq(sd_event_loop(fixture.event), 0);
    close_fixture(&fixture);
}

Test(stop, watches_no_file_any_more_once_it_has_begun)
{
    char text[512];

    snprintf(text, sizeof(text), LISTEN "[Greeting]\nWatch=yes\nMessageFile=%s\n",
             temp_dir_write_text(&temp_dir, "message", "one"));
    begin(text);
    cr_assert_eq(fixture.messages.n, 1);
    cr_assert_geq(stop_begin(&stop), 0);
    cr_expect_eq(fixture.messages.n, 0);
    cr_expect_eq(sd_event_loop(fixture.event), 0);
    close_fixture(&fixture);
}
