/* SPDX-License-Identifier: MIT */
#include "greetd/control/unit_states.h"

#include <criterion/criterion.h>
#include <sys/mman.h>

#include "greetd/base/clock.h"
#include "greetd/greeting/template.h"
#include "greetd/greeting/variable.h"
#include "support/fake_bus.h"
#include "support/logger_options.h"
#include "support/net.h"
#include "support/temp_dir.h"

TestSuite(unit_states, .timeout = 60);

#define FAILED "Failed to ask systemd for the states of units: "
#define KNOWN  "systemd answers again: the states of units are known\n"

struct fixture {
    struct temp_dir temp_dir;
    struct fake_bus bus;
    struct sink sink;
    struct metrics *metrics;
    struct logger *logger;
    sd_event *event;
    struct unit_states states;
};

static void open_fixture(struct fixture *fixture)
{
    temp_dir_init(&fixture->temp_dir);
    fake_bus_open(&fixture->bus, temp_dir_path(&fixture->temp_dir, "bus"));
    sink_init(&fixture->sink, memfd_create("log", MFD_CLOEXEC));
    cr_assert_eq(metrics_new(&fixture->metrics, 0), 0);
    cr_assert_eq(
        logger_start(&fixture->logger, &fixture->sink, fixture->metrics, &LOGGER_EVERYTHING), 0);
    cr_assert_eq(sd_event_new(&fixture->event), 0);
    cr_assert_eq(unit_states_start(&fixture->states, fixture->event, fixture->logger), 0);
}

/* Closes everything and returns the log, valid until the next call. */
static const char *close_fixture(struct fixture *fixture)
{
    static char text[4096];

    unit_states_deinit(&fixture->states);
    fake_bus_close(&fixture->bus);
    sd_event_unref(fixture->event);
    cr_assert_eq(logger_stop(fixture->logger, USEC_INFINITY), 0);
    metrics_free(fixture->metrics);
    temp_dir_deinit(&fixture->temp_dir);
    ssize_t n = pread(fixture->sink.fd, text, sizeof(text) - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    close(fixture->sink.fd);
    return text;
}

static struct greeting *compile(const char *text)
{
    struct diagnostics diagnostics = DIAGNOSTICS_NULL;
    struct greeting *greeting = NULL;

    cr_assert_eq(template_compile(&greeting, text, "f:1", "Message", &diagnostics), 0);
    return greeting;
}

/* The state of the first unit in GREETING. */
static const char *state_of(const struct greeting *greeting)
{
    return unit_state_name(greeting->pieces[0].argument->unit_state);
}

/* Runs the event loop until CONDITION holds. */
#define RUN_UNTIL(fixture, condition)                                                              \
    do                                                                                             \
        cr_assert_gt(sd_event_run((fixture)->event, (uint64_t)NET_BOUND_MSEC * 1000), 0);          \
    while (!(condition))

static int timer_is_enabled(const struct fixture *fixture)
{
    return sd_event_source_get_enabled(fixture->states.timer, NULL);
}

Test(unit_states, are_known_once_a_greeting_is_added)
{
    _cleanup_(greeting_unrefp) struct greeting *greeting = compile("$unit_state{a.service}");
    struct fixture fixture;

    open_fixture(&fixture);
    cr_assert_str_eq(state_of(greeting), "unknown");
    unit_states_add(&fixture.states, greeting);
    cr_assert_str_eq(state_of(greeting), "active");
    cr_assert_str_eq(close_fixture(&fixture), "");
}

Test(unit_states, of_known_units_need_no_further_request)
{
    _cleanup_(greeting_unrefp) struct greeting *first = compile("$unit_state{a.service}"),
                                               *second = compile("$unit_state{a.service} again");
    struct fixture fixture;

    open_fixture(&fixture);
    unit_states_add(&fixture.states, first);
    unit_states_add(&fixture.states, first);
    unit_states_add(&fixture.states, second);
    cr_assert_str_eq(state_of(second), "active");
    cr_assert_eq(fixture.bus.n_requests, 1);
    cr_assert_str_eq(close_fixture(&fixture), "");
}

Test(unit_states, are_asked_for_all_greetings_of_a_snapshot_at_once)
{
    _cleanup_(greeting_unrefp) struct greeting *message = compile("$unit_state{a.service}"),
                                               *stale = compile("$unit_state{b.service}"),
                                               *stop = compile("$unit_state{c.service}");
    const struct config_listener configs[] = {{.greeting = message, .stale = stale},
                                              {.greeting = message, .stop = stop}};
    _cleanup_(snapshot_unrefp) struct snapshot *snapshot = NULL;
    struct fixture fixture;

    open_fixture(&fixture);
    cr_assert_eq(snapshot_new(&snapshot, NULL, 2), 0);
    snapshot_add(snapshot, NULL, &configs[0]);
    snapshot_add(snapshot, NULL, &configs[1]);
    unit_states_add_snapshot(&fixture.states, snapshot);
    cr_assert_str_eq(fixture.bus.names, "a.service b.service c.service ");
    cr_assert_eq(fixture.bus.n_requests, 1);
    cr_assert_str_eq(state_of(stop), "active");
    cr_assert_str_eq(close_fixture(&fixture), "");
}

Test(unit_states, are_asked_for_once_a_second)
{
    _cleanup_(greeting_unrefp) struct greeting *greeting = compile("$unit_state{a.service}");
    struct fixture fixture;

    open_fixture(&fixture);
    uint64_t before = clock_now();
    unit_states_add(&fixture.states, greeting);
    fixture.bus.state = "failed";
    RUN_UNTIL(&fixture, strcmp(state_of(greeting), "failed") == 0);
    cr_assert_geq(clock_now() - before, USEC_PER_SEC);
    cr_assert_eq(fixture.bus.n_requests, 2);
    cr_assert_str_eq(close_fixture(&fixture), "");
}

Test(unit_states, need_no_timer_and_no_bus_without_a_unit)
{
    _cleanup_(greeting_unrefp) struct greeting *plain = compile("$connection");
    struct greeting *greeting = compile("$unit_state{a.service}");
    struct fixture fixture;

    open_fixture(&fixture);
    unit_states_add(&fixture.states, plain);
    cr_assert_eq(timer_is_enabled(&fixture), 0);
    cr_assert_eq(fixture.bus.n_clients, 0);

    unit_states_add(&fixture.states, greeting);
    cr_assert_eq(timer_is_enabled(&fixture), 1);
    greeting_unref(greeting);
    RUN_UNTIL(&fixture, timer_is_enabled(&fixture) == 0);
    NET_WAIT_UNTIL(fixture.bus.n_clients == 0);
    cr_assert_eq(fixture.bus.n_requests, 1);
    cr_assert_str_eq(close_fixture(&fixture), "");
}

Test(unit_states, of_dropped_greetings_are_asked_for_no_more)
{
    _cleanup_(greeting_unrefp) struct greeting *kept = compile("$unit_state{b.service}");
    struct greeting *dropped = compile("$unit_state{a.service}");
    struct fixture fixture;

    open_fixture(&fixture);
    unit_states_add(&fixture.states, dropped);
    unit_states_add(&fixture.states, kept);
    cr_assert_str_eq(fixture.bus.names, "a.service b.service ");
    greeting_unref(dropped);
    RUN_UNTIL(&fixture, fixture.bus.n_requests == 3 && !fixture.states.request);
    cr_assert_str_eq(fixture.bus.names, "b.service ");
    cr_assert_str_eq(state_of(kept), "active");
    cr_assert_str_eq(close_fixture(&fixture), "");
}

Test(unit_states, are_unknown_while_systemd_refuses_to_answer)
{
    _cleanup_(greeting_unrefp) struct greeting *greeting = compile("$unit_state{a.service}");
    struct fixture fixture;

    open_fixture(&fixture);
    unit_states_add(&fixture.states, greeting);
    fixture.bus.state = NULL;
    RUN_UNTIL(&fixture, fixture.bus.n_requests == 3 && !fixture.states.request);
    cr_assert_str_eq(state_of(greeting), "unknown");
    fixture.bus.state = "active";
    RUN_UNTIL(&fixture, strcmp(state_of(greeting), "active") == 0);
    cr_assert_str_eq(close_fixture(&fixture), FAILED "Not today; they are unknown\n" KNOWN);
}

Test(unit_states, are_unknown_with_the_name_of_an_error_without_a_text)
{
    _cleanup_(greeting_unrefp) struct greeting *greeting = compile("$unit_state{a.service}");
    struct fixture fixture;

    open_fixture(&fixture);
    fixture.bus.state = NULL;
    fixture.bus.is_terse = true;
    unit_states_add(&fixture.states, greeting);
    cr_assert_str_eq(state_of(greeting), "unknown");
    cr_assert_str_eq(close_fixture(&fixture),
                     FAILED "org.freedesktop.DBus.Error.AccessDenied; they are unknown\n");
}

Test(unit_states, are_unknown_if_the_answer_has_other_units)
{
    _cleanup_(greeting_unrefp) struct greeting *greeting =
        compile("$unit_state{a.service}$unit_state{b.service}");
    struct fixture fixture;

    open_fixture(&fixture);
    fixture.bus.n_listed = 1;
    unit_states_add(&fixture.states, greeting);
    cr_assert_str_eq(state_of(greeting), "unknown");
    cr_assert_str_eq(close_fixture(&fixture), FAILED "Bad message; they are unknown\n");
}

Test(unit_states, are_unknown_without_a_bus)
{
    _cleanup_(greeting_unrefp) struct greeting *greeting = compile("$unit_state{a.service}");
    struct fixture fixture;

    open_fixture(&fixture);
    setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent", 1);
    unit_states_add(&fixture.states, greeting);
    cr_assert_str_eq(state_of(greeting), "unknown");
    cr_assert_null(fixture.states.bus);
    cr_assert_str_eq(close_fixture(&fixture),
                     FAILED "No such file or directory; they are unknown\n");
}
