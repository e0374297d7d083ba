/* SPDX-License-Identifier: MIT */

/* Sockets from earlier processes and for later ones, and what becomes of them in this one. */

#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

#include "support/fake_systemd.h"
#include "support/net.h"
#include "support/pass_fds.h"
#include "support/seccomp_deny.h"
#include "support/sockets_fixture.h"

TestSuite(sockets_handed_on, .timeout = 60);

Test(sockets_handed_on, takes_back_what_was_stored_and_lets_go_of_what_is_not_wanted)
{
    struct scene scene;
    struct sockaddr_in wanted, other;
    int fds[] = {net_listen(&wanted), net_listen(&other)};
    char text[128];

    snprintf(text, sizeof(text), "[Server]\nListenStream=127.0.0.1:%u\nListenStream=@a\n",
             ntohs(wanted.sin_port));
    configure(&scene, text);
    manager_open();
    passed_begin(fds, 2, "opened@x:opened@y");
    int r = sockets_open(&scene.sockets, scene.config, &scene.report);
    end_passed(&scene);
    cr_assert_eq(r, 0);
    cr_assert_not(scene.sockets.inherited);
    cr_assert_eq(scene.sockets.endpoints->n, 2);
    cr_assert_eq(listener_at(&scene, 0)->address.in.sin_port, wanted.sin_port);
    cr_assert(listener_at(&scene, 0)->stored_as);

    cr_assert(manager_hear());
    cr_assert(strstr(manager.last, "FDSTOREREMOVE=1\nFDNAME=opened@y"));
    cr_assert(manager_hear());
    cr_assert(strstr(manager.last, "FDSTORE=1\nFDNAME=opened@"));
    cr_assert_not(manager_hear());
    finish(&scene);
}

/* systemd has not closed its own yet. */
Test(sockets_handed_on, what_was_stored_does_not_stand_in_the_way_of_what_is_wanted)
{
    struct scene scene;
    struct sockaddr_in address;
    int fds[] = {net_listen(&address)};
    char text[128];

    cr_assert_eq(setsockopt(fds[0], SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)), 0);
    snprintf(text, sizeof(text), "[Server]\nListenStream=0.0.0.0:%u\n", ntohs(address.sin_port));
    configure(&scene, text);
    manager_open();
    passed_begin(fds, 1, "opened@x");
    int r = sockets_open(&scene.sockets, scene.config, &scene.report);
    end_passed(&scene);
    cr_assert_eq(r, 0);
    cr_assert_eq(scene.sockets.endpoints->n, 1);
    cr_assert_eq(listener_at(&scene, 0)->address.in.sin_addr.s_addr, htonl(INADDR_ANY));
    finish(&scene);
}

Test(sockets_handed_on, what_a_socket_unit_passes_wins_over_what_was_stored)
{
    struct scene scene;
    struct sockaddr_in address;
    int fds[] = {net_listen(&address), net_listen(&address)};

    configure(&scene, "");
    manager_open();
    passed_begin(fds, 2, "opened@x:web");
    int r = sockets_open(&scene.sockets, scene.config, &scene.report);
    end_passed(&scene);
    cr_assert_eq(r, 0);
    cr_assert(scene.sockets.inherited);
    cr_assert_eq(scene.sockets.endpoints->n, 1);
    cr_assert_str_eq(endpoint_name(&scene.sockets.endpoints->at[0]), "web");
    cr_assert(manager_heard("FDSTOREREMOVE=1"));
    finish(&scene);
}

static int fast_open_of(int fd)
{
    int queue = -1;
    socklen_t length = sizeof(queue);

    cr_assert_eq(getsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN, &queue, &length), 0);
    return queue;
}

/* An earlier process may have had FastOpen=yes. */
Test(sockets_handed_on, a_socket_that_is_handed_over_has_fast_open_as_configured_now)
{
    const char *names[] = {"opened@x", "web"};

    for (size_t i = 0; i < ELEMENTSOF(names); i++) {
        struct scene scene;
        struct sockaddr_in address;
        int fds[] = {net_listen(&address)};
        char text[64];

        cr_assert_eq(setsockopt(fds[0], IPPROTO_TCP, TCP_FASTOPEN, &(int){7}, sizeof(int)), 0);
        snprintf(text, sizeof(text), "[Server]\nListenStream=127.0.0.1:%u\n",
                 ntohs(address.sin_port));
        configure(&scene, text);
        passed_begin(fds, 1, names[i]);
        int r = sockets_open(&scene.sockets, scene.config, &scene.report);
        end_passed(&scene);
        cr_assert_eq(r, 0);
        cr_assert_eq(fast_open_of(fds[0]), 0);
        finish(&scene);
    }
}

#define FAST_OPEN "[Server]\nListenStream=\nListenStream=127.0.0.1:0\nFastOpen="

Test(sockets_handed_on, fast_open_changes_when_the_rest_does)
{
    _cleanup_(endpoints_unrefp) struct endpoints *endpoints = NULL;
    struct scene scene;

    configure(&scene, FAST_OPEN "no\n");
    cr_assert_eq(sockets_open(&scene.sockets, scene.config, &scene.report), 0);
    int fd = listener_at(&scene, 0)->fd;
    cr_assert_eq(prepare(&scene, FAST_OPEN "yes\n", &endpoints), 0);
    cr_assert_eq(fast_open_of(fd), 0, "nothing is in force yet");
    cr_assert_eq(sockets_change_to(&scene.sockets, endpoints), 0);
    cr_assert_gt(fast_open_of(fd), 0);
    change(&scene, FAST_OPEN "no\n");
    cr_assert_eq(fast_open_of(fd), 0);
    finish(&scene);
}

Test(sockets_handed_on, says_that_it_can_not_set_fast_open)
{
    struct scene scene;

    denied(SYS_setsockopt, 2, TCP_FASTOPEN, EPERM);
    configure(&scene, FAST_OPEN "yes\n");
    cr_assert_eq(sockets_open(&scene.sockets, scene.config, &scene.report), -EPERM);
    cr_assert_eq(scene.report.n_mistakes, 1);
    cr_assert(strstr(scene.report.lines[0], "Failed to set FastOpen=: "));
    finish(&scene);
}

Test(sockets_handed_on, fast_open_that_can_not_be_set_is_no_matter_unless_it_is_wanted)
{
    _cleanup_(endpoints_unrefp) struct endpoints *endpoints = NULL;
    struct scene scene;

    denied(SYS_setsockopt, 2, TCP_FASTOPEN, EPERM);
    configure(&scene, FAST_OPEN "no\n");
    cr_assert_eq(sockets_open(&scene.sockets, scene.config, &scene.report), 0);
    cr_assert_eq(prepare(&scene, FAST_OPEN "yes\n", &endpoints), 0);
    cr_assert_eq(sockets_change_to(&scene.sockets, endpoints), -EPERM);
    cr_assert_eq(scene.sockets.endpoints, endpoints);
    finish(&scene);
}

Test(sockets_handed_on, hands_on_as_many_as_systemd_has_room_for)
{
    struct scene scene;

    setenv("FDSTORE", "2", 1);
    manager_open();
    configure(&scene, "[Server]\nListenStream=@a\nListenStream=@b\nListenStream=@c\n");
    cr_assert_eq(sockets_open(&scene.sockets, scene.config, &scene.report), 0);
    cr_assert_eq(scene.sockets.n_unkept, 1);
    cr_assert(listener_at(&scene, 0)->handed_on);
    cr_assert(listener_at(&scene, 1)->handed_on);
    cr_assert_not(listener_at(&scene, 2)->handed_on);
    cr_assert(manager_hear());
    cr_assert(manager_hear());
    cr_assert_not(manager_hear());

    change(&scene, "[Server]\nListenStream=@b\nListenStream=@c\n");
    cr_assert_eq(scene.sockets.n_unkept, 0);
    cr_assert(listener_at(&scene, 1)->handed_on, "there is room now");
    cr_assert(manager_hear());
    cr_assert(strstr(manager.last, "FDSTOREREMOVE=1"));
    cr_assert(manager_hear());
    cr_assert(strstr(manager.last, "FDSTORE=1"));
    finish(&scene);
}

/* Then it may keep them, but nobody counts on it. */
Test(sockets_handed_on, stores_all_and_hands_on_none_if_systemd_does_not_say)
{
    struct scene scene;

    unsetenv("FDSTORE");
    manager_open();
    configure(&scene, "[Server]\nListenStream=@a\n");
    cr_assert_eq(sockets_open(&scene.sockets, scene.config, &scene.report), 0);
    cr_assert_eq(scene.sockets.n_unkept, 0);
    cr_assert(manager_heard("FDSTORE=1"));
    cr_assert_not(listener_at(&scene, 0)->handed_on);
    finish(&scene);
}
