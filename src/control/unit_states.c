/* SPDX-License-Identifier: MIT */
#include "greetd/control/unit_states.h"

#include <errno.h>
#include <string.h>

#include "greetd/base/clock.h"
#include "greetd/journal/catalog.h"

#define ASK_INTERVAL_USEC USEC_PER_SEC

/* How long the main thread may wait for an answer. */
#define WAIT_USEC (USEC_PER_SEC / 2)

/* After so long without an answer the states are unknown. While systemd loads its units anew, it
 * may be silent for seconds. */
#define SILENCE_MAX_USEC (5 * USEC_PER_SEC)

static void apply(const struct unit_states *states)
{
    for (size_t i = 0; i < states->n; i++)
        units_apply(&states->units, states->greetings[i]);
}

static void fail(struct unit_states *states, const char *reason)
{
    units_forget_states(&states->units);
    apply(states);
    if (!states->failed)
        logger_log(states->logger, LOG_WARNING, MESSAGE_ID_UNITS_UNKNOWN,
                   "Failed to ask systemd for the states of units: %s; they are unknown", reason);
    states->failed = true;
}

static void succeed(struct unit_states *states)
{
    apply(states);
    if (states->failed)
        logger_log(states->logger, LOG_NOTICE, MESSAGE_ID_UNITS_KNOWN,
                   "systemd answers again: the states of units are known");
    states->failed = false;
}

/* The units in a reply are those of the request, in its order. They may have other names: a unit
 * that was asked for by an alias has its own. */
static int read_states(struct units *units, sd_bus_message *reply)
{
    int r = sd_bus_message_enter_container(reply, 'a', "(ssssssouso)");

    for (size_t i = 0; i < units->n && r >= 0; i++) {
        const char *state;

        r = sd_bus_message_read(reply, "(ssssssouso)", NULL, NULL, NULL, &state, NULL, NULL, NULL,
                                NULL, NULL, NULL);
        if (r == 0)
            return -EBADMSG;
        if (r > 0)
            units->items[i].state = unit_state_find(state);
    }
    return r;
}

static int on_reply(sd_bus_message *reply, void *p, sd_bus_error *ret_error)
{
    struct unit_states *states = p;
    const sd_bus_error *error = sd_bus_message_get_error(reply);
    int r = error ? 0 : read_states(&states->units, reply);

    (void)ret_error;
    states->request = sd_bus_slot_unref(states->request);
    if (error)
        fail(states, error->message ? error->message : error->name);
    else if (r < 0)
        fail(states, strerrordesc_np(-r));
    else
        succeed(states);
    return 0;
}

static void disconnect(struct unit_states *states)
{
    states->request = sd_bus_slot_unref(states->request);
    states->bus = sd_bus_close_unref(states->bus);
}

static int open_bus(struct unit_states *states)
{
    if (states->bus && sd_bus_is_open(states->bus) > 0)
        return 0;
    disconnect(states);
    int r = sd_bus_open_system(&states->bus);

    return r < 0 ? r : sd_bus_attach_event(states->bus, states->event, SD_EVENT_PRIORITY_NORMAL);
}

/* Any user may call ListUnitsByNames. It also answers for units that are not loaded. */
static int new_request(sd_bus_message **ret, sd_bus *bus, const struct units *units)
{
    int r = sd_bus_message_new_method_call(bus, ret, "org.freedesktop.systemd1",
                                           "/org/freedesktop/systemd1",
                                           "org.freedesktop.systemd1.Manager", "ListUnitsByNames");

    if (r >= 0)
        r = sd_bus_message_open_container(*ret, 'a', "s");
    for (size_t i = 0; i < units->n && r >= 0; i++)
        r = sd_bus_message_append_basic(*ret, 's', units->items[i].name);
    return r < 0 ? r : sd_bus_message_close_container(*ret);
}

static int send_request(struct unit_states *states)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *request = NULL;
    int r = open_bus(states);

    if (r >= 0)
        r = new_request(&request, states->bus, &states->units);
    return r < 0 ? r
                 : sd_bus_call_async(states->bus, &states->request, request, on_reply, states,
                                     USEC_INFINITY);
}

/* Drops the greetings that have no other reference. */
static void drop_unused(struct unit_states *states)
{
    size_t n = states->n;

    states->n = 0;
    for (size_t i = 0; i < n; i++)
        if (refcount_is_one(&states->greetings[i]->references))
            greeting_unref(states->greetings[i]);
        else
            states->greetings[states->n++] = states->greetings[i];
    states->outdated = states->outdated || states->n < n;
}

/* Makes the table of units anew. Without memory the old one stays. */
static void renew_units(struct unit_states *states)
{
    struct units units = {.items = NULL}, before = states->units;
    int r = 0;

    for (size_t i = 0; i < states->n && r >= 0; i++)
        r = units_add(&units, states->greetings[i]);
    if (r < 0) {
        units_deinit(&units);
        return;
    }
    units_copy_states(&units, &before);
    states->units = units;
    states->outdated = false;
    units_deinit(&before);
}

/* An earlier request is dropped: its answer may be about other units. */
static void ask(struct unit_states *states)
{
    if (!states->request)
        states->silent_usec = clock_now();
    states->request = sd_bus_slot_unref(states->request);
    if (states->outdated)
        renew_units(states);
    int r = send_request(states);

    if (r >= 0)
        return;
    disconnect(states);
    fail(states, strerrordesc_np(-r));
}

/* However often it is called, a silent systemd is waited for once. */
static void await_answer(struct unit_states *states)
{
    uint64_t due_usec = states->silent_usec + WAIT_USEC;

    for (uint64_t now_usec; states->request && (now_usec = clock_now()) < due_usec;) {
        int r = sd_bus_process(states->bus, NULL);

        if (r == 0)
            r = sd_bus_wait(states->bus, due_usec - now_usec);
        if (r < 0)
            return;
    }
}

static void arm(struct unit_states *states)
{
    (void)sd_event_source_set_time(states->timer, clock_now() + ASK_INTERVAL_USEC);
    (void)sd_event_source_set_enabled(states->timer, SD_EVENT_ONESHOT);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *p)
{
    struct unit_states *states = p;

    (void)source;
    (void)usec;
    drop_unused(states);
    if (states->n == 0) {
        disconnect(states);
        units_deinit(&states->units);
        states->failed = false;
        return 0;
    }
    if (states->request && clock_now() - states->silent_usec >= SILENCE_MAX_USEC) {
        disconnect(states);
        fail(states, "no answer for 5s");
    }
    if (!states->request)
        ask(states);
    arm(states);
    return 0;
}

int unit_states_start(struct unit_states *states, sd_event *event, struct logger *logger)
{
    *states = (struct unit_states){.event = event, .logger = logger};
    int r = sd_event_add_time(event, &states->timer, CLOCK_MONOTONIC, 0, ASK_INTERVAL_USEC / 4,
                              on_timer, states);

    return r < 0 ? r : sd_event_source_set_enabled(states->timer, SD_EVENT_OFF);
}

static bool has(const struct unit_states *states, const struct greeting *greeting)
{
    for (size_t i = 0; i < states->n; i++)
        if (states->greetings[i] == greeting)
            return true;
    return false;
}

/* Adds GREETING with the states that are known already. */
static int add(struct unit_states *states, struct greeting *greeting)
{
    if (!greeting || !units_are_in(greeting) || has(states, greeting))
        return 0;
    if (states->n == states->capacity) {
        size_t capacity = 2 * states->n + 4;
        struct greeting **grown =
            reallocarray(states->greetings, capacity, sizeof(struct greeting *));
        if (!grown)
            return -ENOMEM;
        states->greetings = grown;
        states->capacity = capacity;
    }
    if (states->n == 0)
        arm(states);
    states->greetings[states->n++] = greeting_ref(greeting);
    int r = units_add(&states->units, greeting);
    states->outdated = states->outdated || r < 0;
    units_apply(&states->units, greeting);
    return r;
}

/* R is the result of adding greetings, when there were N_BEFORE units. */
static void ask_for_added(struct unit_states *states, size_t n_before, int r)
{
    if (r < 0)
        fail(states, strerrordesc_np(-r));
    if (states->units.n == n_before)
        return;
    ask(states);
    await_answer(states);
}

void unit_states_add_snapshot(struct unit_states *states, const struct snapshot *snapshot)
{
    size_t n_before = states->units.n;
    int r = 0;

    for (size_t i = 0; i < snapshot->n && r >= 0; i++) {
        const struct config_listener *config = snapshot->bindings[i].config;

        r = add(states, config->greeting);
        if (r >= 0)
            r = add(states, config->stale);
        if (r >= 0)
            r = add(states, config->stop);
        if (r >= 0 && config->refuse)
            r = add(states, config->refuse);
    }
    ask_for_added(states, n_before, r);
}

void unit_states_add(struct unit_states *states, struct greeting *greeting)
{
    size_t n_before = states->units.n;

    drop_unused(states);
    ask_for_added(states, n_before, add(states, greeting));
}

void unit_states_deinit(struct unit_states *states)
{
    disconnect(states);
    states->timer = sd_event_source_disable_unref(states->timer);
    for (size_t i = 0; i < states->n; i++)
        greeting_unref(states->greetings[i]);
    free(states->greetings);
    states->greetings = NULL;
    states->n = states->capacity = 0;
    units_deinit(&states->units);
}
