/* SPDX-License-Identifier: MIT */
#include "greetd/control/watchdog.h"

#include <inttypes.h>

#include "support/fake_epoll_wait.h"
#include "support/pool_fixture.h"

TestSuite(watchdog, .timeout = 60);

static void ask(uint64_t timeout_usec)
{
    char text[32];

    manager_open();
    snprintf(text, sizeof(text), "%" PRIu64, timeout_usec);
    setenv("WATCHDOG_USEC", text, 1);
    snprintf(text, sizeof(text), "%d", (int)getpid());
    setenv("WATCHDOG_PID", text, 1);
}

Test(watchdog, is_fed_again_and_again_while_all_workers_go_round)
{
    struct serving scene;
    struct watchdog watchdog;

    is_main_thread = true;
    ask(400000);
    serving_open(&scene, 3);
    uint64_t before = deadline_now();
    cr_assert_eq(watchdog_start(&watchdog, scene.event, scene.pool, scene.connlog), 0);
    for (int i = 0; i < 4; i++)
        manager_await(scene.event, "WATCHDOG=1");
    cr_assert_geq(deadline_now() - before, 300000, "four times a period, not more often");
    watchdog_deinit(&watchdog);
    serving_close(&scene);
}

Test(watchdog, is_let_be_if_systemd_does_not_ask)
{
    struct serving scene;
    struct watchdog watchdog;

    manager_open();
    unsetenv("WATCHDOG_USEC");
    serving_open(&scene, 1);
    cr_assert_eq(watchdog_start(&watchdog, scene.event, scene.pool, scene.connlog), 0);
    cr_assert_null(watchdog.timer);
    cr_assert_not(manager_hear());
    watchdog_deinit(&watchdog);
    serving_close(&scene);
}

Test(watchdog, names_a_worker_that_does_not_go_round_and_feeds_no_more)
{
    struct serving scene;
    struct watchdog watchdog;

    is_main_thread = true;
    ask(200000);
    serving_open(&scene, 2);
    atomic_store(&stuck, true);
    /* Whoever is in the kernel's comes out and stays in ours. */
    pool_prod(scene.pool);
    NET_WAIT_UNTIL(atomic_load(&n_stuck) == 2);
    cr_assert_eq(watchdog_start(&watchdog, scene.event, scene.pool, scene.connlog), 0);
    cr_assert(manager_heard("WATCHDOG=1"), "the first one");
    while (!watchdog.complained)
        cr_assert_gt(sd_event_run(scene.event, (uint64_t)NET_BOUND_MSEC * 1000), 0);
    NET_WAIT_UNTIL(strstr(serving_logged(&scene), "has not gone round its loop for 0."));
    cr_assert_not(manager_heard("WATCHDOG=1"));
    cr_assert_gt(sd_event_run(scene.event, (uint64_t)NET_BOUND_MSEC * 1000), 0);

    /* Named once. When it goes on, all is well again. */
    atomic_store(&stuck, false);
    manager_await(scene.event, "WATCHDOG=1");
    const char *first = strstr(serving_logged(&scene), "Worker");
    cr_assert_not_null(first);
    cr_assert_null(strstr(first + 1, "Worker"));
    watchdog_deinit(&watchdog);
    serving_close(&scene);
}
