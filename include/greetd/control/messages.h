/* SPDX-License-Identifier: MIT */
#pragma once

/* The greetings that change while a configuration is in force: files of Watch=yes are loaded when
 * they change and replaced by StaleMessage= when they are too old, and StopMessage= replaces all
 * before a stop. Only for the main thread. */

#include <stdbool.h>
#include <stddef.h>
#include <systemd/sd-event.h>

#include "greetd/control/unit_states.h"
#include "greetd/journal/logger.h"
#include "greetd/listen/snapshot.h"
#include "greetd/metrics/metrics.h"
#include "greetd/worker/pool.h"

struct message;

struct messages {
    sd_event *event; /* borrowed, as the next four */
    struct pool *pool;
    struct logger *logger;
    struct metrics *metrics;
    struct unit_states *unit_states;
    struct snapshot *snapshot; /* a reference: the one in force */
    struct message *items;     /* owned: one for each greeting that may change */
    size_t n;
    bool stopping; /* StopMessage= is in force */
    bool held;     /* the workers must not be sent another greeting now */
};

/* Prepares for messages_renew(). All is borrowed until messages_deinit(). */
struct messages messages_init(sd_event *event, struct pool *pool, struct logger *logger,
                              struct metrics *metrics, struct unit_states *unit_states);

/* Watches the files of SNAPSHOT, which is in force from now on, instead of those before. A path
 * that can't be watched as a whole is logged. */
void messages_renew(struct messages *messages, struct snapshot *snapshot);

/* Sends the workers the greetings that have changed, as soon as pool_settled(). To be called when
 * pool_changed_fd() is readable. */
void messages_advance(struct messages *messages);

/* Keeps greetings from the workers while a prepared snapshot is about to replace the one in force;
 * messages_renew() ends that. */
void messages_hold(struct messages *messages);

/* Puts each StopMessage= in force. */
void messages_stop(struct messages *messages);

/* Watches nothing any more. */
void messages_deinit(struct messages *messages);
