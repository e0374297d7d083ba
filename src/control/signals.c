/* SPDX-License-Identifier: MIT */
#include "greetd/control/signals.h"

#include <time.h>

void signals_defer_reload(void)
{
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGHUP);
    sigprocmask(SIG_BLOCK, &signals, NULL);
}

sigset_t signals_block(void)
{
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    return signals;
}

void signals_slow_down(void)
{
    const struct timespec pause = {.tv_sec = 1};
    sigset_t signals = signals_block();

    (void)sigtimedwait(&signals, NULL, &pause);
}
