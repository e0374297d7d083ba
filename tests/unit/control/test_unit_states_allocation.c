/* SPDX-License-Identifier: MIT */
#include "greetd/control/unit_states.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <systemd/sd-event.h>

#include "greetd/base/clock.h"
#include "greetd/greeting/template.h"
#include "support/fake_malloc.h"
#include "support/logger_options.h"

TestSuite(unit_states_allocation, .timeout = 60);

static struct greeting *compile(const char *text)
{
    struct diagnostics diagnostics = DIAGNOSTICS_NULL;
    struct greeting *greeting = NULL;

    cr_assert_eq(template_compile(&greeting, text, "f:1", "Message", &diagnostics), 0);
    return greeting;
}

/* Adds the greetings of SNAPSHOT and then MORE, each while the NTH allocation fails. */
static void add_failing(struct unit_states *states, const struct snapshot *snapshot,
                        struct greeting *more, unsigned nth)
{
    count_from_here(nth);
    unit_states_add_snapshot(states, snapshot);
    count_to_here();
    count_from_here(nth);
    unit_states_add(states, more);
    count_to_here();
}

/* There is no bus, and what could not be added is added by the next call. */
Test(unit_states_allocation, that_is_refused_is_made_up_for_later)
{
    struct greeting *greetings[] = {compile("$unit_state{a.path}"), compile("$unit_state{b.path}"),
                                    compile("$unit_state{c.path}"), compile("$unit_state{d.path}"),
                                    compile("$unit_state{e.path}")};
    const struct config_listener config = {.greeting = greetings[0],
                                           .stale = greetings[1],
                                           .stop = greetings[2],
                                           .refuse = greetings[3]};
    struct snapshot *snapshot;
    struct sink sink;
    struct metrics *metrics;
    struct logger *logger;
    sd_event *event;

    if (!CAN_INTERPOSE)
        cr_skip("the sanitizer has an allocator of its own");
    setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent", 1);
    sink_init(&sink, open("/dev/null", O_WRONLY | O_CLOEXEC));
    cr_assert_eq(snapshot_new(&snapshot, NULL, 2), 0);
    snapshot_add(snapshot, NULL, &config);
    snapshot_add(snapshot, NULL, &config);
    cr_assert_eq(metrics_new(&metrics, 0), 0);
    cr_assert_eq(logger_start(&logger, &sink, metrics, &LOGGER_EVERYTHING), 0);
    cr_assert_eq(sd_event_new(&event), 0);
    for (unsigned nth = 1; nth < 20; nth++) {
        struct unit_states states;

        cr_assert_eq(unit_states_start(&states, event, logger), 0);
        add_failing(&states, snapshot, greetings[4], nth);
        unit_states_add_snapshot(&states, snapshot);
        unit_states_add(&states, greetings[4]);
        cr_assert_eq(states.n, 5, "the %uth", nth);
        cr_assert(states.outdated || states.units.n == 5, "the %uth", nth);
        unit_states_deinit(&states);
    }
    cr_assert_eq(logger_stop(logger, USEC_INFINITY), 0);
    metrics_free(metrics);
    sd_event_unref(event);
    snapshot_unref(snapshot);
    for (size_t i = 0; i < ELEMENTSOF(greetings); i++)
        greeting_unref(greetings[i]);
}
