/* SPDX-License-Identifier: MIT */
#include "greetd/listen/sockets.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "support/descriptors.h"
#include "support/net.h"
#include "support/pass_fds.h"
#include "support/seccomp_deny.h"
#include "support/sockets_fixture.h"
#include "support/temp_dir.h"

TestSuite(sockets, .timeout = 60);

Test(sockets, opens_each_address_with_its_own_greeting)
{
    struct sockets_fixture fixture;

    sockets_fixture_open(&fixture,
                         "[Server]\nListenStream=\nListenStream=127.0.0.1:0\nListenStream=@a\n"
                         "[Listener special]\nListenStream=@b\nMessage=special\n");
    cr_assert_not(fixture.sockets.inherited);
    const struct snapshot *snapshot = fixture.sockets.snapshot;
    const struct config_listener *special = config_find_listener(fixture.config, "special");
    cr_assert_eq(snapshot->n, 3);
    cr_assert_eq(snapshot->bindings[0].config, config_default_listener(fixture.config));
    cr_assert_eq(snapshot->bindings[1].config, config_default_listener(fixture.config));
    cr_assert_eq(snapshot->bindings[2].config, special);
    cr_assert_str_eq(binding_name(&snapshot->bindings[0]), "server");
    cr_assert_str_eq(binding_name(&snapshot->bindings[2]), "special");
    cr_assert(sockets_use(&fixture.sockets, special));
    sockets_fixture_close(&fixture);
}

/* The log names the sockets of [Server] `server`; a section may have the same name. */
Test(sockets, a_section_named_server_applies_only_to_its_own_sockets)
{
    struct sockets_fixture fixture;

    sockets_fixture_open(&fixture, "[Server]\nListenStream=\nListenStream=@a\n"
                                   "[Listener server]\nListenStream=@b\nMessage=special\n");
    cr_assert_eq(fixture.sockets.snapshot->n, 2);
    cr_assert_eq(fixture.sockets.snapshot->bindings[0].config,
                 config_default_listener(fixture.config));
    cr_assert_eq(fixture.sockets.snapshot->bindings[1].config,
                 config_find_listener(fixture.config, "server"));
    sockets_fixture_close(&fixture);
}

Test(sockets, matches_passed_sockets_by_name_and_opens_no_others)
{
    struct sockets_fixture fixture;
    struct sockaddr_in address;
    int fds[] = {net_listen(&address), net_listen(&address)};

    sockets_fixture_load(&fixture, "[Listener special]\nListenStream=@b\nMessage=special\n"
                                   "[Listener unused]\nMessage=unused\n");
    cr_assert_eq(sockets_fixture_open_passed(&fixture, fds, 2, "greetd.socket:special"), 0);
    cr_assert(fixture.sockets.inherited);
    cr_assert_eq(fixture.sockets.snapshot->n, 2);
    cr_assert_eq(fixture.sockets.snapshot->bindings[0].config,
                 config_default_listener(fixture.config));
    cr_assert_eq(fixture.sockets.snapshot->bindings[1].config,
                 config_find_listener(fixture.config, "special"));
    cr_assert_not(sockets_use(&fixture.sockets, config_find_listener(fixture.config, "unused")));
    sockets_fixture_close(&fixture);
}

Test(sockets, rejects_an_unsuitable_socket_from_systemd)
{
    struct sockets_fixture fixture;
    int fds[] = {socket(AF_INET, SOCK_DGRAM, 0)};

    sockets_fixture_load(&fixture, "");
    cr_assert_eq(sockets_fixture_open_passed(&fixture, fds, 1, "wrong"), -EBADMSG);
    cr_assert_eq(fixture.diagnostics.n_errors, 1);
    cr_assert(strstr(fixture.diagnostics.lines[0], "Descriptor 3 (wrong)"));
    sockets_fixture_close(&fixture);
}

Test(sockets, reports_that_no_address_is_configured)
{
    struct sockets_fixture fixture;

    sockets_fixture_load(&fixture, "[Server]\nListenStream=\n");
    cr_assert_eq(sockets_open(&fixture.sockets, fixture.config, 1, &fixture.diagnostics), -EBADMSG);
    cr_assert_eq(fixture.diagnostics.n_errors, 1);
    cr_assert(strstr(fixture.diagnostics.lines[0], "Nothing to listen on"));
    sockets_fixture_close(&fixture);
}

Test(sockets, names_the_address_that_is_not_available)
{
    struct sockets_fixture fixture;

    sockets_fixture_load(&fixture, "[Server]\nListenStream=\nListenStream=127.0.0.1:0\n"
                                   "[Listener far]\nListenStream=192.0.2.1:80\n");
    cr_assert_eq(sockets_open(&fixture.sockets, fixture.config, 1, &fixture.diagnostics),
                 -EADDRNOTAVAIL);
    cr_assert_eq(fixture.diagnostics.n_errors, 1);
    cr_assert(strstr(fixture.diagnostics.lines[0], "192.0.2.1:80"));
    cr_assert(strstr(fixture.diagnostics.lines[0], strerrordesc_np(EADDRNOTAVAIL)));
    sockets_fixture_close(&fixture);
}

Test(sockets, a_change_keeps_configured_sockets_and_opens_the_rest)
{
    struct sockets_fixture fixture;
    char address[ADDRESS_TEXT_MAX];

    sockets_fixture_open(&fixture,
                         "[Server]\nListenStream=\nListenStream=127.0.0.1:0\nListenStream=@a\n");
    struct listener *port = sockets_fixture_listener(&fixture, 0),
                    *removed = sockets_fixture_listener(&fixture, 1);
    listener_use(removed, 1);
    sockets_fixture_change(&fixture, "[Server]\nListenStream=\n[Listener motd]\nListenStream=@b\n"
                                     "ListenStream=127.0.0.1:0\n");
    cr_assert_eq(fixture.sockets.snapshot->n, 2);
    cr_assert_eq(sockets_fixture_listener(&fixture, 1), port, "the kernel chose its port");
    cr_assert_str_eq(binding_name(&fixture.sockets.snapshot->bindings[1]), "motd");

    cr_assert_not(sockets_close_leaving(&fixture.sockets, address), "a worker uses it");
    cr_assert(listener_release(removed));
    cr_assert(sockets_close_leaving(&fixture.sockets, address));
    cr_assert(strstr(address, "-a"), "%s", address);
    cr_assert_not(sockets_close_leaving(&fixture.sockets, address));
    sockets_fixture_close(&fixture);
}

Test(sockets, a_bare_port_is_kept_without_ipv6)
{
    struct sockets_fixture fixture;
    struct sockaddr_in address;
    char text[64];

    close(net_listen(&address)); /* only its port is needed */
    snprintf(text, sizeof(text), "[Server]\nListenStream=%u\n", ntohs(address.sin_port));
    seccomp_deny(SYS_socket, 0, AF_INET6, EAFNOSUPPORT);
    sockets_fixture_open(&fixture, text);
    struct listener *listener = sockets_fixture_listener(&fixture, 0);
    sockets_fixture_change(&fixture, text);
    cr_assert_eq(fixture.sockets.snapshot->n, 1);
    cr_assert_eq(sockets_fixture_listener(&fixture, 0), listener);
    sockets_fixture_close(&fixture);
}

Test(sockets, a_change_that_fails_changes_nothing)
{
    struct sockets_fixture fixture;
    struct snapshot *snapshot = NULL;

    sockets_fixture_open(&fixture, "[Server]\nListenStream=@a\n");
    const struct snapshot *before = fixture.sockets.snapshot;
    size_t descriptors = descriptors_count();
    cr_assert_eq(sockets_fixture_prepare(&fixture,
                                         "[Server]\nListenStream=@a\nListenStream=@b\n"
                                         "ListenStream=192.0.2.1:80\n",
                                         &snapshot),
                 -EADDRNOTAVAIL);
    cr_assert_null(snapshot);
    cr_assert_eq(fixture.sockets.snapshot, before);
    cr_assert_eq(descriptors_count(), descriptors);
    cr_assert_eq(fixture.diagnostics.n_errors, 1);
    sockets_fixture_close(&fixture);
}

Test(sockets, a_closing_socket_is_kept_if_configured_again)
{
    struct sockets_fixture fixture;
    char address[ADDRESS_TEXT_MAX];

    sockets_fixture_open(&fixture, "[Server]\nListenStream=@a\n");
    struct listener *listener = sockets_fixture_listener(&fixture, 0);
    listener_use(listener, 1);
    sockets_fixture_change(&fixture, "[Server]\nListenStream=@b\n");
    sockets_fixture_change(&fixture, "[Server]\nListenStream=@a\n");
    cr_assert_eq(sockets_fixture_listener(&fixture, 0), listener);
    cr_assert(listener_release(listener));
    cr_assert(sockets_close_leaving(&fixture.sockets, address));
    cr_assert(strstr(address, "-b"), "%s", address);
    cr_assert_not(sockets_close_leaving(&fixture.sockets, address));
    sockets_fixture_close(&fixture);
}

/* A Unix socket that is not configured any more loses its file at once, so it can't be kept. */
Test(sockets, the_file_of_a_socket_is_created_anew_if_configured_again)
{
    struct sockets_fixture fixture;
    struct temp_dir temp_dir;
    char text[512], path[256];

    temp_dir_init(&temp_dir);
    snprintf(path, sizeof(path), "%s/socket", temp_dir.directory);
    snprintf(text, sizeof(text), "[Server]\nListenStream=\nListenStream=%s\n", path);
    sockets_fixture_open(&fixture, text);
    struct listener *listener = sockets_fixture_listener(&fixture, 0);
    listener_use(listener, 1);
    sockets_fixture_change(&fixture, "[Server]\nListenStream=@b\n");
    cr_assert_eq(access(path, F_OK), -1);
    sockets_fixture_change(&fixture, text);
    cr_assert_eq(access(path, F_OK), 0);
    cr_assert_neq(sockets_fixture_listener(&fixture, 0), listener);
    sockets_fixture_close(&fixture);
    cr_assert_eq(access(path, F_OK), -1);
    temp_dir_deinit(&temp_dir);
}

Test(sockets, reports_whether_clients_are_pending)
{
    struct sockets_fixture fixture;

    sockets_fixture_open(&fixture, "[Server]\nListenStream=\nListenStream=127.0.0.1:0\n");
    cr_assert_not(sockets_have_clients(&fixture.sockets));
    net_connect(&sockets_fixture_listener(&fixture, 0)->address.in);
    net_wait(sockets_fixture_listener(&fixture, 0)->fd, POLLIN);
    cr_assert(sockets_have_clients(&fixture.sockets));
    sockets_fixture_close(&fixture);
}
