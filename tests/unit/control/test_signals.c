/* SPDX-License-Identifier: MIT */
#include "greetd/control/signals.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <time.h>

#include "greetd/base/clock.h"

TestSuite(signals, .timeout = 60);

/* Accepts a pending signal and returns its number; 0 if none is pending. */
static int take(const sigset_t *signals)
{
    int number = sigtimedwait(signals, NULL, &(struct timespec){.tv_sec = 0});

    return number < 0 ? 0 : number;
}

Test(signals, sighup_stays_pending_until_the_event_loop)
{
    signals_defer_reload();
    cr_assert_eq(raise(SIGHUP), 0);
    sigset_t signals = signals_block();
    cr_assert_eq(take(&signals), SIGHUP);
}

Test(signals, sigterm_ends_the_process_before_the_event_loop, .signal = SIGTERM)
{
    signals_defer_reload();
    raise(SIGTERM);
}

Test(signals, block_keeps_every_signal_pending)
{
    sigset_t signals = signals_block();

    cr_assert_eq(raise(SIGTERM), 0);
    cr_assert_eq(raise(SIGINT), 0);
    cr_assert_eq(raise(SIGHUP), 0);
    cr_assert_eq(take(&signals), SIGHUP);
    cr_assert_eq(take(&signals), SIGINT);
    cr_assert_eq(take(&signals), SIGTERM);
    cr_assert_eq(take(&signals), 0);
}

Test(signals, slow_down_takes_a_second)
{
    uint64_t before = clock_now();

    signals_slow_down();
    cr_assert_geq(clock_now() - before, 1000000);
}

Test(signals, slow_down_ends_with_the_first_signal)
{
    signals_block();
    raise(SIGTERM);
    signals_slow_down();
    sigset_t pending;
    cr_assert_eq(sigpending(&pending), 0);
    cr_assert_not(sigismember(&pending, SIGTERM));
}
