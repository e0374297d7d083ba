/* SPDX-License-Identifier: MIT */
#include "greetd/sockets.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "denied.h"
#include "descriptors.h"
#include "manager.h"
#include "net.h"
#include "passed.h"
#include "scratch.h"

TestSuite(sockets, .timeout = 60);

struct scene {
    struct scratch scratch;
    struct config *config;
    struct sockets sockets;
    struct report report;
};

/* Loads TEXT, in which each @ is made a name that no other process uses. */
static void configure(struct scene *scene, const char *text)
{
    char unique[1024];
    size_t n = 0;

    *scene = (struct scene){.report = REPORT_NULL};
    for (const char *p = text; *p; p++)
        if (*p == '@')
            n += (size_t)snprintf(unique + n, sizeof(unique) - n, "@greetd-%d-", (int)getpid());
        else
            unique[n++] = *p;
    cr_assert_lt(n, sizeof(unique));
    unique[n] = '\0';
    scratch_init(&scene->scratch);
    struct config_options options = {
        .path = scratch_write_text(&scene->scratch, "greetd.conf", unique),
    };
    cr_assert_eq(config_load(&scene->config, &options, &scene->report), 0, "%s",
                 scene->report.n_lines > 0 ? scene->report.lines[0] : "");
}

static void finish(struct scene *scene)
{
    sockets_deinit(&scene->sockets);
    config_unref(scene->config);
    report_deinit(&scene->report);
    scratch_deinit(&scene->scratch);
}

static void end_passed(struct scene *scene)
{
    struct listener_set set = {0};

    for (size_t i = 0; scene->sockets.endpoints && i < scene->sockets.endpoints->n; i++)
        (void)listener_set_add(&set, scene->sockets.endpoints->at[i].listener);
    passed_end(&set);
    listener_set_deinit(&set);
}

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

/* Loads TEXT instead of what was loaded before, as configure() does, and prepares it. */
static int prepare(struct scene *scene, const char *text, struct endpoints **ret)
{
    struct scene next;

    configure(&next, text);
    int r = sockets_prepare(ret, &scene->sockets, next.config, &scene->report);
    config_unref(next.config);
    scratch_deinit(&next.scratch);
    return r;
}

static void change(struct scene *scene, const char *text)
{
    _cleanup_(endpoints_unrefp) struct endpoints *endpoints = NULL;

    cr_assert_eq(prepare(scene, text, &endpoints), 0);
    sockets_change_to(&scene->sockets, endpoints);
}

static struct listener *listener_at(const struct scene *scene, size_t i)
{
    return scene->sockets.endpoints->at[i].listener;
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

Test(sockets, takes_back_what_was_stored_and_lets_go_of_what_is_not_wanted)
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
    cr_assert(strstr(manager.last, "FDSTORE=1\nFDNAME=opened@@greetd-"));
    cr_assert_not(manager_hear());
    finish(&scene);
}

/* systemd has not closed its own yet. */
Test(sockets, what_was_stored_does_not_stand_in_the_way_of_what_is_wanted)
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

Test(sockets, what_a_socket_unit_passes_wins_over_what_was_stored)
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
Test(sockets, a_socket_that_is_handed_over_has_fast_open_as_configured_now)
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

#define FAST_OPEN "[Server]\nListenStream=\nListenStream=127.0.0.1:0\nBacklog=9\nFastOpen="

Test(sockets, fast_open_changes_when_the_rest_does)
{
    _cleanup_(endpoints_unrefp) struct endpoints *endpoints = NULL;
    struct scene scene;

    configure(&scene, FAST_OPEN "no\n");
    cr_assert_eq(sockets_open(&scene.sockets, scene.config, &scene.report), 0);
    int fd = listener_at(&scene, 0)->fd;
    cr_assert_eq(prepare(&scene, FAST_OPEN "yes\n", &endpoints), 0);
    cr_assert_eq(fast_open_of(fd), 0, "nothing is in force yet");
    cr_assert_eq(sockets_change_to(&scene.sockets, endpoints), 0);
    cr_assert_eq(fast_open_of(fd), 9);
    change(&scene, FAST_OPEN "no\n");
    cr_assert_eq(fast_open_of(fd), 0);
    finish(&scene);
}

Test(sockets, says_that_it_can_not_set_fast_open)
{
    struct scene scene;

    denied(SYS_setsockopt, 2, TCP_FASTOPEN, EPERM);
    configure(&scene, FAST_OPEN "yes\n");
    cr_assert_eq(sockets_open(&scene.sockets, scene.config, &scene.report), -EPERM);
    cr_assert_eq(scene.report.n_mistakes, 1);
    cr_assert(strstr(scene.report.lines[0], "Failed to set FastOpen=: "));
    finish(&scene);
}

Test(sockets, fast_open_that_can_not_be_set_is_no_matter_unless_it_is_wanted)
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

Test(sockets, hands_on_as_many_as_systemd_has_room_for)
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
Test(sockets, stores_all_and_hands_on_none_if_systemd_does_not_say)
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
