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

    cr_assert_str_eq(binding_name(&(struct binding){&passed, &config}), "web");
    cr_assert_str_eq(binding_name(&(struct binding){&own, &config}), "motd");
}
