/* SPDX-License-Identifier: MIT */
#include "greetd/listen/snapshot.h"

#include "support/config_fixture.h"
#include "support/net.h"

TestSuite(snapshot, .timeout = 60, .init = set_up, .fini = tear_down);

static struct listener *new_listener(void)
{
    struct sockaddr_in address;
    struct listener *listener;
    int fd = net_listen(&address);

    cr_assert_eq(listener_new(&listener, &fd, SOCK_STREAM), 0);
    cr_assert_eq(fd, -1);
    return listener;
}

Test(snapshot, keeps_its_configuration_and_listeners_until_the_last_unref)
{
    struct config *config = load_text("[Greeting]\nMessage=kept\n");
    struct listener *listener = new_listener();
    struct snapshot *snapshot;
    int fd = listener->fd;

    cr_assert_eq(snapshot_new(&snapshot, config, 1), 0);
    snapshot_add(snapshot, listener, config_default_listener(config));
    config_unref(config);
    listener_unref(listener);
    snapshot_ref(snapshot);
    snapshot_unref(snapshot);
    cr_assert_geq(fcntl(fd, F_GETFD), 0);
    expect_greeting(snapshot->bindings[0].config, "kept", 4);
    snapshot_unref(snapshot);
    cr_assert_eq(fcntl(fd, F_GETFD), -1);
}

Test(snapshot, has_only_its_own_listeners)
{
    struct listener *ours = new_listener(), *other = new_listener();
    struct snapshot *snapshot;

    cr_assert_eq(snapshot_new(&snapshot, NULL, 1), 0);
    snapshot_add(snapshot, ours, NULL);
    cr_assert(snapshot_has(snapshot, ours));
    cr_assert_not(snapshot_has(snapshot, other));
    snapshot_unref(snapshot);
    listener_unref(ours);
    listener_unref(other);
}

Test(snapshot, binding_has_the_name_from_systemd_or_else_of_its_section)
{
    const struct config_listener config = {.name = "motd"};
    struct listener passed = {.name = (char *)"web"}, own = {.name = NULL};

    cr_assert_str_eq(binding_name(&(struct binding){.listener = &passed, .config = &config}),
                     "web");
    cr_assert_str_eq(binding_name(&(struct binding){.listener = &own, .config = &config}), "motd");
}

/* Each socket has a worker, and each worker a socket; both have about equal shares. */
Test(snapshot, shards_are_spread_over_the_workers)
{
    for (unsigned n_workers = 1; n_workers <= 7; n_workers++)
        for (unsigned n_shards = 1; n_shards <= 7; n_shards++) {
            unsigned of_worker[7] = {0}, of_shard[7] = {0};

            for (unsigned i = 0; i < n_workers * n_shards; i++) {
                struct binding binding = {
                    .shard = i / n_workers, .n_shards = n_shards, .spread = true};
                bool is_for = binding_is_for(&binding, i % n_workers, n_workers);

                of_worker[i % n_workers] += is_for;
                of_shard[i / n_workers] += is_for;
            }
            for (unsigned i = 0; i < n_workers; i++) {
                cr_expect_geq(of_worker[i], n_shards > n_workers ? n_shards / n_workers : 1);
                cr_expect_leq(of_worker[i], (n_shards + n_workers - 1) / n_workers);
            }
            for (unsigned i = 0; i < n_shards; i++) {
                cr_expect_geq(of_shard[i], n_workers > n_shards ? n_workers / n_shards : 1);
                cr_expect_leq(of_shard[i], (n_workers + n_shards - 1) / n_shards);
            }
        }
}

Test(snapshot, all_workers_accept_from_shards_that_are_not_spread)
{
    struct binding binding = {.shard = 1, .n_shards = 2};

    cr_assert(binding_is_for(&binding, 0, 2));
    cr_assert(binding_is_for(&binding, 1, 2));
}

Test(snapshot, joins_the_shards_of_an_address)
{
    struct snapshot *snapshot;

    cr_assert_eq(snapshot_new(&snapshot, NULL, 4), 0);
    for (size_t i = 0; i < 4; i++)
        snapshot_add(snapshot, NULL, NULL);
    snapshot_join_shards(snapshot, 1, true);
    cr_assert_eq(snapshot->bindings[0].n_shards, 1);
    cr_assert_not(snapshot->bindings[0].spread);
    for (unsigned i = 0; i < 3; i++) {
        const struct binding *binding = &snapshot->bindings[1 + i];

        cr_assert_eq(binding->shard, i);
        cr_assert_eq(binding->n_shards, 3);
        cr_assert(binding->spread);
        cr_assert_eq(binding_first_shard(binding), &snapshot->bindings[1]);
        cr_assert_eq(binding_other_shard(binding, 2), &snapshot->bindings[1 + (i + 2) % 3]);
    }
    snapshot_unref(snapshot);
}
