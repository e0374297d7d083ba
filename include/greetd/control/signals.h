/* SPDX-License-Identifier: MIT */
#pragma once

/* Signals, before the event loop hears them and when it never will. Only for a process with one
 * thread; what is blocked stays so in the threads to come. */

#include <signal.h>

/* From now on SIGHUP, which would end the process, waits for the event loop. For the beginning of a
 * process: a reload that is asked for early comes when there is something to reload. */
void signals_defer_reload(void);

/* The same for all signals that the event loop hears: SIGHUP, SIGINT and SIGTERM, which are
 * returned. */
sigset_t signals_block(void);

/* For a start that failed although systemd passed sockets: waits for a second, or until one of
 * these signals. As long as a client waits in the queue of such a socket systemd starts the service
 * anew as soon as it has ended (systemd.socket(5)), and a mistake that only an administrator can
 * mend would keep the machine busy. */
void signals_slow_down(void);
