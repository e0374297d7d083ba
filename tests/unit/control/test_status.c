/* SPDX-License-Identifier: MIT */
#include "greetd/control/status.h"

#include "support/pool_fixture.h"

TestSuite(status, .timeout = 60);

Test(status, tells_how_many_in_words)
{
    struct serving scene;
    struct status status;

    manager_open();
    serving_open(&scene, 2);
    cr_assert_eq(status_start(&status, scene.event, scene.pool), 0);
    manager_await(scene.event, "STATUS=Greeting 0 clients; 0 greeted, 0 refused; 2 workers");
    serving_greet(&scene);
    status_changed(&status);
    manager_await(scene.event, "STATUS=Greeting 0 clients; 1 greeted, 0 refused; 2 workers");
    status_stopping(&status);
    cr_assert(manager_heard("STATUS=Stopping, 0 clients; 1 greeted"));
    status_deinit(&status);
    serving_close(&scene);
}

Test(status, tells_at_most_once_a_second)
{
    struct serving scene;
    struct status status;

    manager_open();
    serving_open(&scene, 1);
    cr_assert_eq(status_start(&status, scene.event, scene.pool), 0);
    manager_await(scene.event, "0 greeted");
    uint64_t before = deadline_now();
    serving_greet(&scene);
    status_changed(&status);
    manager_await(scene.event, "1 greeted");
    cr_assert_geq(deadline_now() - before, 900000);
    status_deinit(&status);
    serving_close(&scene);
}

Test(status, wakes_nobody_while_nothing_happens)
{
    struct serving scene;
    struct status status;
    int enabled;

    manager_open();
    serving_open(&scene, 1);
    cr_assert_eq(status_start(&status, scene.event, scene.pool), 0);
    manager_await(scene.event, "0 greeted");
    cr_assert_eq(sd_event_source_get_enabled(status.timer, &enabled), 0);
    cr_assert_eq(enabled, SD_EVENT_OFF);

    /* It is told of the next client, who need not do anything for it. */
    int error;
    (void)pool_state(scene.pool, &error);
    serving_greet(&scene);
    net_wait(pool_changed_fd(scene.pool), POLLIN);
    status_deinit(&status);
    serving_close(&scene);
}

Test(status, says_what_is_wrong_until_all_is_well)
{
    struct serving scene;
    struct status status;

    manager_open();
    serving_open(&scene, 1);
    cr_assert_eq(status_start(&status, scene.event, scene.pool), 0);
    manager_await(scene.event, "1 worker");
    uint64_t before = deadline_now();
    status_trouble(&status, "last reload failed: a:1: b");
    manager_await(scene.event, "1 worker; last reload failed: a:1: b");
    cr_assert_geq(deadline_now() - before, 900000, "not sooner than any other news");
    status_trouble(&status, NULL);
    manager_await(scene.event, "STATUS=Greeting 0 clients; 0 greeted, 0 refused; 1 worker");
    int enabled;
    status_trouble(&status, NULL);
    cr_assert_eq(sd_event_source_get_enabled(status.timer, &enabled), 0);
    cr_assert_eq(enabled, SD_EVENT_OFF, "nothing has changed");
    status_deinit(&status);
    serving_close(&scene);
}
