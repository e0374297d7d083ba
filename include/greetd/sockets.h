/* SPDX-License-Identifier: MIT */
#pragma once

/* Which sockets greetd listens on, and how the clients of each are greeted: those that systemd
 * passed, or else those that the configuration names. */

#include <stdbool.h>

#include "greetd/config.h"
#include "greetd/endpoint.h"
#include "greetd/listener.h"
#include "greetd/report.h"

/* A set of zeroes is empty. */
struct sockets {
    struct listener_set listeners; /* owned */
    struct endpoints endpoints;    /* owned; in the order of listeners */
    bool inherited;                /* all of them were passed by systemd, else greetd opened them */
};

/* Takes what systemd passed, or opens every ListenStream= of CONFIG, which is borrowed. Returns 0;
 * -EBADMSG if what was passed or configured can't be listened on; -ENOMEM, or the negative errno of
 * what the system refused. REPORT then says what failed and where. sockets_deinit() is due in any
 * case. */
int sockets_open(struct sockets *sockets, const struct config *config, struct report *report);

/* Closes and frees everything. */
void sockets_deinit(struct sockets *sockets);

/* Whether the clients of any socket are greeted as LISTENER says. */
bool sockets_use(const struct sockets *sockets, const struct config_listener *listener);
