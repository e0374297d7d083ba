/* SPDX-License-Identifier: MIT */
#pragma once

/* What the main thread does to a worker: it makes generations and posts messages. Include it in one
 * source of a program only. */

#include "life.h"

/* The messages that were posted, until the worker has handled them. */
static struct {
    struct life_message {
        enum worker_message_kind kind;
        unsigned listeners; /* a bit for each */
        unsigned version;
    } at[1024];
    unsigned n_posted, n_handled;
} mail;

/* Takes a byte of the program; 0 behind its end. */
static unsigned take(void)
{
    return (unsigned)fuzz_take_number(&life.input, 1);
}

static void life_set_version(unsigned generation, unsigned listener, unsigned version)
{
    life.versions[generation][listener] = version;
    for (unsigned i = 0; i < kernel.n_clients; i++) {
        const struct kernel_client *client = &kernel.clients[i];

        if (client->listener == listener && client->state == KERNEL_ACCEPTED &&
            life.clients[i].generation == generation)
            life.clients[i].versions |= 1U << version;
    }
}

static void apply_message(const struct life_message *message)
{
    if (message->kind == WORKER_ADOPT)
        life.masks[++life.generation] = message->listeners;
    if (message->kind == WORKER_ADOPT || message->kind == WORKER_REPLACE)
        for (unsigned i = 0; i < KERNEL_LISTENERS; i++)
            if (message->listeners & life.masks[life.generation] & 1U << i)
                life_set_version(life.generation, i, message->version);
    if (message->kind == WORKER_HOLD || message->kind == WORKER_RESUME)
        life.held = message->kind == WORKER_HOLD;
    if (message->kind == WORKER_STOP)
        life.held = false;
}

static void apply_messages(void)
{
    unsigned n = atomic_load(&life.worker.n_handled);

    while (mail.n_handled != n)
        apply_message(&mail.at[mail.n_handled++]);
}

/* The mask of the generation that was posted last. */
static unsigned last_mask(void)
{
    unsigned mask = life.masks[life.generation];

    for (unsigned i = mail.n_handled; i < mail.n_posted; i++)
        if (mail.at[i].kind == WORKER_ADOPT)
            mask = mail.at[i].listeners;
    return mask;
}

/* Leaves room for what stops the worker. */
static bool is_mail_full(void)
{
    return mail.n_posted - mail.n_handled > WORKER_MAILBOX_SIZE - 4 ||
           mail.n_posted > ELEMENTSOF(mail.at) - 4;
}

static bool post(struct worker_message message, unsigned listeners, unsigned version)
{
    if (worker_post(&life.worker, message) < 0)
        return false;
    mail.at[mail.n_posted++] = (struct life_message){message.kind, listeners, version};
    return true;
}

static void set_config(struct config_listener *config, unsigned i, unsigned version)
{
    static const char *const names[] = {"l0", "l1", "l2", "l3", "l4", "l5", "l6", "l7"};
    static const struct source_limits limits = {.max_connections = 3};
    const struct life_listener *listener = &life_listeners[i];
    /* What networks_allow() above takes for a list. */
    const struct networks *list = (const struct networks *)&limits;

    *config = (struct config_listener){
        .name = names[i],
        .settings = {.greet_on = listener->on_data ? GREET_ON_DATA : GREET_ON_CONNECT,
                     .data_timeout_usec = LIFE_DATA_TIMEOUT,
                     .drip_usec = listener->drips ? LIFE_DRIP : 0,
                     .drip_repeat = listener->repeats,
                     .linger_usec = listener->closes_at_once ? 0 : LIFE_LINGER,
                     .write_timeout_usec = LIFE_TIMEOUT,
                     .log_connections = !listener->unlogged,
                     .proxy_protocol = listener->proxied},
        .greeting = life.texts[i][version],
        .refuse = life.refusals[i],
        .log_silent = !listener->hides_silent,
        .networks = i == 1 ? list : NULL,
        .trusted = i == 2 ? list : NULL,
        .limits = i == 4 ? NULL : &limits,
    };
}

/* Makes a generation with those LISTENERS. The worker gets it. */
static struct generation *make_generation(unsigned number, unsigned listeners, unsigned version,
                                          bool fast_open)
{
    struct snapshot *snapshot;
    struct generation *generation;

    PROPERTY(snapshot_new(&snapshot, NULL, KERNEL_LISTENERS) == 0);
    for (unsigned i = 0; i < KERNEL_LISTENERS; i++) {
        if (!(listeners & 1U << i))
            continue;
        set_config(&life.configs[number][i], i, version);
        snapshot_add(snapshot, &life.sockets[i], &life.configs[number][i]);
        listener_use(&life.sockets[i], 1);
    }
    PROPERTY(generation_new(&generation, snapshot, life.metrics, 0) == 0);
    life.fast_open[number] = fast_open;
    for (size_t i = 0; i < generation->n_listeners; i++)
        generation->listeners[i].fast_open = fast_open;
    snapshot_unref(snapshot);
    return generation;
}

static void do_adopt(void)
{
    unsigned listeners = take() | 1, version = take() % LIFE_VERSIONS, number = 1;

    for (unsigned i = 0; i < mail.n_posted; i++)
        number += mail.at[i].kind == WORKER_ADOPT;
    if (number == LIFE_GENERATIONS || life.stops || is_mail_full())
        return;
    struct generation *generation = make_generation(number, listeners, version, version & 1);
    PROPERTY(post((struct worker_message){.kind = WORKER_ADOPT, .generation = generation},
                  listeners, version));
}

/* The index of a greeting is that of its listener in the generation that the worker has then. */
static void do_replace(void)
{
    unsigned listeners = take() & last_mask(), version = take() % LIFE_VERSIONS;
    struct worker_greeting *list = NULL;
    size_t index = 0;

    for (unsigned i = 0; i < KERNEL_LISTENERS; i++) {
        struct worker_greeting *greeting;

        if (listeners & 1U << i) {
            PROPERTY(worker_greeting_new(&greeting, index, life.texts[i][version]) == 0);
            greeting->next = list;
            list = greeting;
        }
        index += (last_mask() & 1U << i) != 0;
    }
    if (is_mail_full() || !post((struct worker_message){.kind = WORKER_REPLACE, .greetings = list},
                                listeners, version))
        worker_greeting_free_list(list);
}

static void do_message(enum worker_message_kind kind)
{
    if (is_mail_full() || life.stops)
        return;
    PROPERTY(post((struct worker_message){.kind = kind}, 0, 0));
    life.stops |= kind == WORKER_STOP || kind == WORKER_QUIT;
    life.quits |= kind == WORKER_QUIT;
}
