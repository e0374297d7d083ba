/* SPDX-License-Identifier: MIT */
#pragma once

/* Signals before and without the event loop. Only for a process with one thread: later threads
 * inherit what is blocked. */

#include <signal.h>

/* Blocks SIGHUP, which would end the process, until the event loop handles it. To be called first,
 * so that an early reload takes place as soon as there is a configuration to reload. */
void signals_defer_reload(void);

/* Blocks all signals that the event loop handles, and returns them: SIGHUP, SIGINT and SIGTERM. */
sigset_t signals_block(void);

/* Waits for a second, or for a signal of signals_block(), after a start that failed although
 * systemd has passed sockets. While a client waits in the queue of such a socket, systemd starts
 * the service again as soon as it ends (systemd.socket(5)), and an error that only an administrator
 * can mend would keep the machine busy. */
void signals_slow_down(void);
