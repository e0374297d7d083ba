/* SPDX-License-Identifier: MIT */
#include "greetd/sockets.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

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
