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

Test(generation, has_only_the_shards_of_its_worker)
{
    struct snapshot_fixture fixture;
    struct metrics *metrics;

    snapshot_fixture_open(&fixture, 3);
    snapshot_join_shards(fixture.snapshot, 1, true);
    cr_assert_eq(metrics_new(&metrics, 2), 0);
    for (unsigned worker = 0; worker < 2; worker++) {
        struct generation *generation;

        cr_assert_eq(generation_new(&generation, fixture.snapshot, metrics, worker), 0);
        cr_assert_eq(generation->n_listeners, 2);
        cr_assert_eq(generation->n_addresses, 2);
        cr_assert_eq(generation->listeners[0].listener, &fixture.listeners[0]);
        cr_assert_eq(generation->listeners[1].listener, &fixture.listeners[1 + worker]);
        cr_expect_not(worker_listener_is_shard(&generation->listeners[0]));
        cr_expect(worker_listener_is_shard(&generation->listeners[1]));
        generation_free(generation);
    }
    metrics_free(metrics);
    snapshot_fixture_close(&fixture);
}

Test(generation, counts_the_clients_of_an_address_in_all_its_shards)
{
    struct snapshot_fixture fixture;
    struct metrics *metrics;

    snapshot_fixture_open(&fixture, 3);
    snapshot_join_shards(fixture.snapshot, 1, false);
    cr_assert_eq(metrics_new(&metrics, 1), 0);
    struct generation *generation = snapshot_fixture_generation(&fixture, metrics);
    struct worker_listener *listeners = generation->listeners;
    listeners[2].n_clients = 1;
    cr_expect_not(worker_listener_has_clients(&listeners[0]));
    cr_expect(worker_listener_has_clients(&listeners[1]));
    cr_expect(worker_listener_has_clients(&listeners[2]));
    listeners[2].n_clients = 0;
    generation_free(generation);
    metrics_free(metrics);
    snapshot_fixture_close(&fixture);
}

Test(generation, keeps_a_place_for_each_address_but_one)
{
    const struct generation generation = {.n_addresses = 3, .n_listeners = 9};

    cr_expect_eq(generation_places_kept(&generation, 6), 2);
    cr_expect_eq(generation_places_kept(&generation, 5), 0);
}

Test(generation, knows_the_listeners_that_take_clients_of_any_address)
{
    struct snapshot_fixture fixture;
    struct metrics *metrics;

    snapshot_fixture_open(&fixture, 2);
    fixture.listeners[0].address = net_address("127.0.0.1:80");
    fixture.listeners[1].address = net_address("[::]:80");
    cr_assert_eq(metrics_new(&metrics, 1), 0);
    struct generation *generation = snapshot_fixture_generation(&fixture, metrics);
    cr_expect_not(generation->listeners[0].wildcard);
    cr_expect(generation->listeners[1].wildcard);
    generation_free(generation);
    metrics_free(metrics);
    snapshot_fixture_close(&fixture);
}

/* Returns a greeting with TEXT, on its way to the first listener. */
static struct worker_greeting *new_greeting(const char *text)
{
    _cleanup_(greeting_unrefp) struct greeting *greeting = greeting_new();
    struct worker_greeting *replacement;

    cr_assert(greeting && (greeting->bytes = strdup(text)));
    cr_assert_eq(worker_greeting_new(&replacement, 0, greeting), 0);
    return replacement;
}

Test(generation, keeps_a_replaced_greeting_until_its_last_client_has_ended)
{
    struct snapshot_fixture fixture;
    struct metrics *metrics;

    snapshot_fixture_open(&fixture, 1);
    cr_assert_eq(metrics_new(&metrics, 1), 0);
    struct generation *generation = snapshot_fixture_generation(&fixture, metrics);
    struct worker_listener *wl = &generation->listeners[0];
    struct worker_greeting *configured = worker_greeting_take(wl);
    cr_assert_eq(configured->text, &fixture.greetings[0]);

    generation_replace_greetings(generation, new_greeting("first"));
    struct worker_greeting *first = worker_greeting_take(wl);
    generation_replace_greetings(generation, new_greeting("second"));
    generation_replace_greetings(generation, new_greeting("third"));
    cr_assert_str_eq(first->text->bytes, "first");
    cr_assert_str_eq(wl->greeting->text->bytes, "third");
    worker_greeting_drop(first);
    worker_greeting_drop(configured);
    cr_assert_eq(configured->n_clients, 0);

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
