/* SPDX-License-Identifier: MIT */
#pragma once

/* The states of the units in greetings, for which systemd is asked on the system bus each second
 * as long as a greeting has units. A reference to each such greeting is kept until it is the last
 * one. Only for the main thread, which waits 500 ms at most for an answer, and only when there are
 * new units. */

#include <stdbool.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "greetd/greeting/units.h"
#include "greetd/journal/logger.h"
#include "greetd/listen/snapshot.h"

struct unit_states {
    sd_event *event; /* borrowed, as the next one */
    struct logger *logger;
    struct greeting **greetings; /* owned, each a reference */
    size_t n, capacity;
    struct units units;     /* of the greetings */
    bool outdated;          /* the table lacks units, or has some of dropped greetings */
    sd_event_source *timer; /* owned; disabled while there are no greetings */
    sd_bus *bus;            /* owned; NULL while not connected */
    sd_bus_slot *request;   /* owned; NULL while there is nothing that systemd has not answered */
    uint64_t silent_usec;   /* with a request: since when systemd has not answered */
    bool failed;            /* the last request has, and that is logged */
};

/* Connects to nothing yet. EVENT and LOGGER are borrowed until unit_states_deinit(), which is due
 * in any case. Errors are those of the event loop. */
int unit_states_start(struct unit_states *states, sd_event *event, struct logger *logger);

/* Adds all greetings of SNAPSHOT, which has to happen before clients receive them. If systemd can't
 * be asked, that is logged, and the states are unknown until it can. */
void unit_states_add_snapshot(struct unit_states *states, const struct snapshot *snapshot);

/* Adds GREETING likewise. NULL is allowed. */
void unit_states_add(struct unit_states *states, struct greeting *greeting);

/* Drops all greetings. */
void unit_states_deinit(struct unit_states *states);
