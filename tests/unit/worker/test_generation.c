/* SPDX-License-Identifier: MIT */
#include "greetd/worker/generation.h"

#include <criterion/criterion.h>

#include "support/snapshot_fixture.h"

TestSuite(generation, .timeout = 60);

Test(generation, has_a_listener_for_each_binding)
{
    struct snapshot_fixture fixture;
    struct metrics *metrics;

    snapshot_fixture_open(&fixture, 2);
    fixture.configs[1].name = "motd";
    cr_assert_eq(metrics_new(&metrics, 1), 0);
    struct generation *generation = snapshot_fixture_generation(&fixture, metrics);
    cr_assert_eq(generation->n_listeners, 2);
    for (size_t i = 0; i < 2; i++) {
        const struct worker_listener *wl = &generation->listeners[i];

        cr_assert_eq(wl->generation, generation);
        cr_assert_eq(wl->listener, &fixture.listeners[i]);
        cr_assert_eq(wl->config, &fixture.configs[i]);
        cr_assert(wl->open);
    }
    cr_assert_str_eq(generation->listeners[1].name, "motd");
    cr_assert_eq(generation->listeners[1].counters, metrics_listener(metrics, "motd")->workers);
    generation_free(generation);
    metrics_free(metrics);
    snapshot_fixture_close(&fixture);
}

Test(generation, is_in_use_while_it_has_a_client_or_an_open_listener)
{
    struct snapshot_fixture fixture;
    struct metrics *metrics;

    snapshot_fixture_open(&fixture, 2);
    cr_assert_eq(metrics_new(&metrics, 1), 0);
    struct generation *generation = snapshot_fixture_generation(&fixture, metrics);
    cr_assert(generation_in_use(generation));
    generation->listeners[0].open = false;
    cr_assert(generation_in_use(generation));
    generation->listeners[1].open = false;
    cr_assert_not(generation_in_use(generation));
    generation->listeners[0].n_clients = 1;
    cr_assert(generation_in_use(generation));
    generation_free(generation);
    metrics_free(metrics);
    snapshot_fixture_close(&fixture);
}
