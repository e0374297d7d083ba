/* SPDX-License-Identifier: MIT */
#include "greetd/listen/snapshot.h"

#include "support/config_fixture.h"
#include "support/net.h"

TestSuite(endpoint, .timeout = 60, .init = set_up, .fini = tear_down);

static struct listener *new_listener(void)
{
    struct sockaddr_in address;
    struct listener *listener;
    int fd = net_listen(&address);

    cr_assert_eq(listener_new(&listener, &fd, SOCK_STREAM), 0);
    cr_assert_eq(fd, -1);
    return listener;
}

Test(endpoint, keeps_what_it_speaks_of_until_the_last_has_let_go)
{
    struct config *config = load_text("[Greeting]\nMessage=kept\n");
    struct listener *listener = new_listener();
    struct endpoints *endpoints;
    int fd = listener->fd;

    cr_assert_eq(endpoints_new(&endpoints, config, 1), 0);
    endpoints_add(endpoints, listener, config_default_listener(config));
    config_unref(config);
    listener_unref(listener);
    endpoints_ref(endpoints);
    endpoints_unref(endpoints);
    cr_assert_geq(fcntl(fd, F_GETFD), 0);
    expect_greeting(endpoints->at[0].config, "kept", 4);
    endpoints_unref(endpoints);
    cr_assert_eq(fcntl(fd, F_GETFD), -1);
}

Test(endpoint, knows_its_listeners)
{
    struct listener *ours = new_listener(), *other = new_listener();
    struct endpoints *endpoints;

    cr_assert_eq(endpoints_new(&endpoints, NULL, 1), 0);
    endpoints_add(endpoints, ours, NULL);
    cr_assert(endpoints_have(endpoints, ours));
    cr_assert_not(endpoints_have(endpoints, other));
    endpoints_unref(endpoints);
    listener_unref(ours);
    listener_unref(other);
}

Test(endpoint, is_called_as_systemd_says_or_else_as_its_section)
{
    const struct config_listener config = {.name = "motd"};
    struct listener passed = {.name = (char *)"web"}, own = {.name = NULL};

    cr_assert_str_eq(endpoint_name(&(struct endpoint){&passed, &config}), "web");
    cr_assert_str_eq(endpoint_name(&(struct endpoint){&own, &config}), "motd");
}
