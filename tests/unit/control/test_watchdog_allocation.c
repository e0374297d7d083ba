/* SPDX-License-Identifier: MIT */
#include "greetd/control/watchdog.h"

#include "support/fake_malloc.h"
#include "support/fake_systemd.h"
#include "support/pool_fixture.h"

TestSuite(watchdog_allocation, .timeout = 60);

Test(watchdog_allocation, that_is_refused_is_an_error_that_leaves_no_descriptor)
{
    struct pool_fixture fixture;
    struct watchdog watchdog;
    unsigned nth = 0;
    int r;

    if (!CAN_INTERPOSE)
        cr_skip("the sanitizer has an allocator of its own");
    fake_systemd_open();
    setenv("WATCHDOG_USEC", "1000000", 1);
    pool_fixture_open(&fixture, 1);
    do {
        count_from_here(++nth);
        r = watchdog_start(&watchdog, fixture.event, fixture.pool, fixture.logger);
        count_to_here();
        cr_assert_eq(r < 0, watchdog.spare_fd < 0, "the %uth: %d", nth, r);
        watchdog_deinit(&watchdog);
    } while (r < 0);
    cr_assert_gt(nth, 1);
    pool_fixture_close(&fixture);
}
