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

Test(sockets, opens_what_is_configured_each_with_its_own_greeting)
{
    struct scene scene;

    configure(&scene, "[Server]\nListenStream=\nListenStream=127.0.0.1:0\nListenStream=@a\n"
                      "[Listener special]\nListenStream=@b\nMessage=special\n");
    cr_assert_eq(sockets_open(&scene.sockets, scene.config, &scene.report), 0);
    cr_assert_not(scene.sockets.inherited);
    const struct endpoints *endpoints = scene.sockets.endpoints;
    const struct config_listener *special = config_find_listener(scene.config, "special");
    cr_assert_eq(endpoints->n, 3);
    cr_assert_eq(endpoints->at[0].config, config_default_listener(scene.config));
    cr_assert_eq(endpoints->at[1].config, config_default_listener(scene.config));
    cr_assert_eq(endpoints->at[2].config, special);
    cr_assert_str_eq(endpoint_name(&endpoints->at[0]), "server");
    cr_assert_str_eq(endpoint_name(&endpoints->at[2]), "special");
    cr_assert(sockets_use(&scene.sockets, special));
    finish(&scene);
}

/* The sockets of [Server] have a name in the log, which someone's section may have too. */
Test(sockets, a_section_called_server_speaks_only_for_its_own_sockets)
{
    struct scene scene;

    configure(&scene, "[Server]\nListenStream=\nListenStream=@a\n"
                      "[Listener server]\nListenStream=@b\nMessage=special\n");
    cr_assert_eq(sockets_open(&scene.sockets, scene.config, &scene.report), 0);
    cr_assert_eq(scene.sockets.endpoints->n, 2);
    cr_assert_eq(scene.sockets.endpoints->at[0].config, config_default_listener(scene.config));
    cr_assert_eq(scene.sockets.endpoints->at[1].config,
                 config_find_listener(scene.config, "server"));
    finish(&scene);
}

Test(sockets, matches_passed_sockets_by_name_and_opens_no_others)
{
    struct scene scene;
    struct sockaddr_in address;
    int fds[] = {net_listen(&address), net_listen(&address)};

    configure(&scene, "[Listener special]\nListenStream=@b\nMessage=special\n"
                      "[Listener unused]\nMessage=unused\n");
    passed_begin(fds, 2, "greetd.socket:special");
    int r = sockets_open(&scene.sockets, scene.config, &scene.report);
    end_passed(&scene);
    cr_assert_eq(r, 0);
    cr_assert(scene.sockets.inherited);
    cr_assert_eq(scene.sockets.endpoints->n, 2);
    cr_assert_eq(scene.sockets.endpoints->at[0].config, config_default_listener(scene.config));
    cr_assert_eq(scene.sockets.endpoints->at[1].config,
                 config_find_listener(scene.config, "special"));
    cr_assert_not(sockets_use(&scene.sockets, config_find_listener(scene.config, "unused")));
    finish(&scene);
}

Test(sockets, refuses_what_systemd_should_not_have_passed)
{
    struct scene scene;
    int fds[] = {socket(AF_INET, SOCK_DGRAM, 0)};

    configure(&scene, "");
    passed_begin(fds, 1, "wrong");
    int r = sockets_open(&scene.sockets, scene.config, &scene.report);
    end_passed(&scene);
    cr_assert_eq(r, -EBADMSG);
    cr_assert_eq(scene.report.n_mistakes, 1);
    cr_assert(strstr(scene.report.lines[0], "Descriptor 3 (wrong)"));
    finish(&scene);
}

Test(sockets, says_that_there_is_nothing_to_listen_on)
{
    struct scene scene;

    configure(&scene, "[Server]\nListenStream=\n");
    cr_assert_eq(sockets_open(&scene.sockets, scene.config, &scene.report), -EBADMSG);
    cr_assert_eq(scene.report.n_mistakes, 1);
    cr_assert(strstr(scene.report.lines[0], "Nothing to listen on"));
    finish(&scene);
}

Test(sockets, names_the_address_that_it_can_not_have)
{
    struct scene scene;

    configure(&scene, "[Server]\nListenStream=\nListenStream=127.0.0.1:0\n"
                      "[Listener far]\nListenStream=192.0.2.1:80\n");
    cr_assert_eq(sockets_open(&scene.sockets, scene.config, &scene.report), -EADDRNOTAVAIL);
    cr_assert_eq(scene.report.n_mistakes, 1);
    cr_assert(strstr(scene.report.lines[0], "192.0.2.1:80"));
    cr_assert(strstr(scene.report.lines[0], strerrordesc_np(EADDRNOTAVAIL)));
    finish(&scene);
}

Test(sockets, a_change_keeps_what_is_still_wanted_and_opens_the_rest)
{
    struct scene scene;
    char address[ADDRESS_TEXT_MAX];

    configure(&scene, "[Server]\nListenStream=\nListenStream=127.0.0.1:0\nListenStream=@a\n");
    cr_assert_eq(sockets_open(&scene.sockets, scene.config, &scene.report), 0);
    struct listener *port = listener_at(&scene, 0), *gone = listener_at(&scene, 1);
    listener_use(gone, 1);
    change(&scene, "[Server]\nListenStream=\n[Listener motd]\nListenStream=@b\n"
                   "ListenStream=127.0.0.1:0\n");
    cr_assert_eq(scene.sockets.endpoints->n, 2);
    cr_assert_eq(listener_at(&scene, 1), port, "its port is still for the kernel to choose");
    cr_assert_str_eq(endpoint_name(&scene.sockets.endpoints->at[1]), "motd");

    cr_assert_not(sockets_close_left(&scene.sockets, address), "a worker uses it");
    cr_assert(listener_release(gone));
    cr_assert(sockets_close_left(&scene.sockets, address));
    cr_assert(strstr(address, "-a"), "%s", address);
    cr_assert_not(sockets_close_left(&scene.sockets, address));
    finish(&scene);
}

Test(sockets, a_bare_port_is_kept_without_ipv6)
{
    struct scene scene;
    struct sockaddr_in address;
    char text[64];

    close(net_listen(&address)); /* for its port */
    snprintf(text, sizeof(text), "[Server]\nListenStream=%u\n", ntohs(address.sin_port));
    denied(SYS_socket, 0, AF_INET6, EAFNOSUPPORT);
    configure(&scene, text);
    cr_assert_eq(sockets_open(&scene.sockets, scene.config, &scene.report), 0);
    struct listener *listener = listener_at(&scene, 0);
    change(&scene, text);
    cr_assert_eq(scene.sockets.endpoints->n, 1);
    cr_assert_eq(listener_at(&scene, 0), listener);
    finish(&scene);
}

Test(sockets, a_change_that_fails_changes_nothing)
{
    struct scene scene;
    struct endpoints *endpoints = NULL;

    configure(&scene, "[Server]\nListenStream=@a\n");
    cr_assert_eq(sockets_open(&scene.sockets, scene.config, &scene.report), 0);
    const struct endpoints *before = scene.sockets.endpoints;
    size_t descriptors = descriptors_count();
    cr_assert_eq(prepare(&scene,
                         "[Server]\nListenStream=@a\nListenStream=@b\n"
                         "ListenStream=192.0.2.1:80\n",
                         &endpoints),
                 -EADDRNOTAVAIL);
    cr_assert_null(endpoints);
    cr_assert_eq(scene.sockets.endpoints, before);
    cr_assert_eq(descriptors_count(), descriptors);
    cr_assert_eq(scene.report.n_mistakes, 1);
    finish(&scene);
}

Test(sockets, an_address_is_wanted_again_before_it_is_free)
{
    struct scene scene;
    char address[ADDRESS_TEXT_MAX];

    configure(&scene, "[Server]\nListenStream=@a\n");
    cr_assert_eq(sockets_open(&scene.sockets, scene.config, &scene.report), 0);
    struct listener *listener = listener_at(&scene, 0);
    listener_use(listener, 1);
    change(&scene, "[Server]\nListenStream=@b\n");
    change(&scene, "[Server]\nListenStream=@a\n");
    cr_assert_eq(listener_at(&scene, 0), listener);
    cr_assert(listener_release(listener));
    cr_assert(sockets_close_left(&scene.sockets, address));
    cr_assert(strstr(address, "-b"), "%s", address);
    cr_assert_not(sockets_close_left(&scene.sockets, address));
    finish(&scene);
}

/* Of a Unix socket the file is gone as soon as it is not wanted, so it can't be called back. */
Test(sockets, a_file_is_made_anew_when_it_is_wanted_again)
{
    struct scene scene;
    struct scratch scratch;
    char text[512], path[256];

    scratch_init(&scratch);
    snprintf(path, sizeof(path), "%s/socket", scratch.directory);
    snprintf(text, sizeof(text), "[Server]\nListenStream=\nListenStream=%s\n", path);
    configure(&scene, text);
    cr_assert_eq(sockets_open(&scene.sockets, scene.config, &scene.report), 0);
    struct listener *listener = listener_at(&scene, 0);
    listener_use(listener, 1);
    change(&scene, "[Server]\nListenStream=@b\n");
    cr_assert_eq(access(path, F_OK), -1);
    change(&scene, text);
    cr_assert_eq(access(path, F_OK), 0);
    cr_assert_neq(listener_at(&scene, 0), listener);
    finish(&scene);
    cr_assert_eq(access(path, F_OK), -1);
    scratch_deinit(&scratch);
}

Test(sockets, knows_whether_somebody_waits)
{
    struct scene scene;

    configure(&scene, "[Server]\nListenStream=\nListenStream=127.0.0.1:0\n");
    cr_assert_eq(sockets_open(&scene.sockets, scene.config, &scene.report), 0);
    cr_assert_not(sockets_have_clients(&scene.sockets));
    net_connect(&listener_at(&scene, 0)->address.in);
    net_wait(listener_at(&scene, 0)->fd, POLLIN);
    cr_assert(sockets_have_clients(&scene.sockets));
    finish(&scene);
}
