/* SPDX-License-Identifier: MIT */
#include "greetd/worker/generation.h"

#include <criterion/criterion.h>

#include "support/snapshot_fixture.h"

TestSuite(generation, .timeout = 60);

Test(generation, has_a_lane_for_each_endpoint_with_its_terms)
{
    struct place place;
    struct metrics metrics;

    place_open(&place, 2);
    place.configs[1].name = "motd";
    place.configs[1].settings.linger_usec = 7;
    place.listeners[1].type = SOCK_SEQPACKET;
    cr_assert_eq(metrics_init(&metrics, 1), 0);
    struct generation *generation = place_generation(&place, &metrics);
    cr_assert_eq(generation->n_lanes, 2);
    for (size_t i = 0; i < 2; i++) {
        const struct lane *lane = &generation->lanes[i];

        cr_assert_eq(lane->generation, generation);
        cr_assert_eq(lane->listener, &place.listeners[i]);
        cr_assert_eq(lane->terms.greeting, &place.greetings[i]);
        cr_assert(lane->open);
    }
    cr_assert_eq(generation->lanes[1].terms.linger_usec, 7);
    cr_assert(generation->lanes[1].terms.records);
    cr_assert_not(generation->lanes[0].terms.records);
    cr_assert_str_eq(generation->lanes[1].terms.listener, "motd");
    cr_assert_eq(generation->lanes[1].counters, metrics_listener(&metrics, "motd")->workers);
    generation_free(generation);
    metrics_deinit(&metrics);
    place_close(&place);
}

Test(generation, is_in_use_while_it_has_a_client_or_a_socket)
{
    struct place place;
    struct metrics metrics;

    place_open(&place, 2);
    cr_assert_eq(metrics_init(&metrics, 1), 0);
    struct generation *generation = place_generation(&place, &metrics);
    cr_assert(generation_in_use(generation));
    generation->lanes[0].open = false;
    cr_assert(generation_in_use(generation));
    generation->lanes[1].open = false;
    cr_assert_not(generation_in_use(generation));
    generation->lanes[0].n_clients = 1;
    cr_assert(generation_in_use(generation));
    generation_free(generation);
    metrics_deinit(&metrics);
    place_close(&place);
}
