/* SPDX-License-Identifier: MIT */
#include "greetd/worker/acceptor.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "greetd/base/cleanup.h"
#include "support/acceptor_fixture.h"
#include "support/fake_logger.h"
#include "support/net.h"
#include "support/snapshot_fixture.h"

#define RETRY 20000

TestSuite(acceptor, .timeout = 60);

/* What accept4(2) is to fail with, this many times, before it is the kernel's own again. */
static int accept_error;
static unsigned accept_failures;

int accept4(int fd, __SOCKADDR_ARG address, socklen_t *length, int flags)
{
    if (accept_failures > 0) {
        accept_failures--;
        errno = accept_error;
        return -1;
    }
    return (int)syscall(SYS_accept4, fd, address.__sockaddr__, length, flags);
}

Test(acceptor, accepts_whom_epoll_announces)
{
    struct accepting scene;

    accepting_open(&scene, 2, 8);
    cr_assert_eq(accepting_hear(&scene, ACCEPTING_START), 0);
    int client = place_connect(&scene.place, 1);
    cr_assert_eq(acceptor_run(&scene.acceptor, ACCEPTING_START), 0);
    cr_assert_eq(scene.clients.n, 0, "nobody has been announced");

    cr_assert_eq(accepting_hear(&scene, ACCEPTING_START), 1);
    cr_assert_eq(acceptor_next_deadline(&scene.acceptor), 0);
    cr_assert_eq(acceptor_run(&scene.acceptor, ACCEPTING_START), 0);
    cr_assert_eq(scene.clients.n, 1);
    cr_assert_eq(acceptor_next_deadline(&scene.acceptor), DEADLINE_NEVER);
    cr_assert_eq(accepting_hear(&scene, ACCEPTING_START), 0);
    place_read_hello(client);
    accepting_close(&scene);
}

Test(acceptor, knows_who_the_client_is)
{
    struct accepting scene;
    struct sockaddr_in own;
    socklen_t length = sizeof(own);

    accepting_open(&scene, 1, 8);
    int client = place_connect(&scene.place, 0);
    cr_assert_eq(getsockname(client, (struct sockaddr *)&own, &length), 0);
    cr_assert_eq(accepting_go_round(&scene, ACCEPTING_START), 0);
    accepting_close(&scene);
    cr_assert_eq(told.stories[0].peer.family, AF_INET);
    cr_assert_eq(told.stories[0].peer.port, ntohs(own.sin_port));
    cr_assert_eq(told.stories[0].peer.in.s_addr, htonl(INADDR_LOOPBACK));
}

Test(acceptor, knows_the_process_behind_a_local_client)
{
    struct accepting scene;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    socklen_t length = sizeof(address);

    accepting_open(&scene, 1, 8);
    acceptor_hold(&scene.acceptor);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof(sa_family_t)), 0);
    cr_assert_eq(listen(fd, 1), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    cr_assert_eq(dup2(fd, scene.place.listeners[0].fd), scene.place.listeners[0].fd);
    acceptor_resume(&scene.acceptor);

    int client = socket(AF_UNIX, SOCK_STREAM, 0);
    cr_assert_eq(connect(client, (struct sockaddr *)&address, length), 0);
    cr_assert_eq(accepting_go_round(&scene, ACCEPTING_START), 0);
    accepting_close(&scene);
    cr_assert_eq(told.n, 1);
    cr_assert_eq(told.stories[0].peer.family, AF_UNIX);
    cr_assert_eq(told.stories[0].peer.un.pid, (uint32_t)getpid());
    cr_assert_eq(told.stories[0].peer.un.uid, getuid());
}

Test(acceptor, takes_a_few_at_a_time)
{
    struct accepting scene;

    accepting_open(&scene, 1, 64);
    accepting_connect(&scene, ACCEPTING_BATCH + 4);
    cr_assert_eq(accepting_go_round(&scene, ACCEPTING_START), 0);
    cr_assert_eq(scene.clients.n, ACCEPTING_BATCH);
    cr_assert_eq(acceptor_next_deadline(&scene.acceptor), 0);
    cr_assert_eq(acceptor_run(&scene.acceptor, ACCEPTING_START), 0);
    cr_assert_eq(scene.clients.n, ACCEPTING_BATCH + 4);
    cr_assert_eq(acceptor_next_deadline(&scene.acceptor), DEADLINE_NEVER);
    accepting_close(&scene);
}

Test(acceptor, lets_nobody_go_for_a_place_that_nobody_waits_for)
{
    struct accepting scene;

    accepting_open(&scene, 1, 2);
    accepting_connect(&scene, 2);
    cr_assert_eq(accepting_go_round(&scene, ACCEPTING_START), 0);
    cr_assert_eq(scene.clients.n, 2);
    cr_assert_eq(told.n, 0);
    accepting_close(&scene);
}

/* Takes all descriptors that are left but the last N, counted from 128. */
static void leave_descriptors(int n)
{
    struct rlimit limit;
    int fd;

    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = 128;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    while ((fd = dup(STDERR_FILENO)) >= 0)
        ;
    cr_assert_eq(errno, EMFILE);
    for (fd = 127; n > 0; n--)
        cr_assert_eq(close(fd--), 0);
}

/* How many failures with ERROR have been counted. */
static uint64_t n_accept_errors(const struct accepting *scene, int error)
{
    uint64_t n = 0;

    for (size_t i = 0; i < METRICS_ACCEPT_ERRORS; i++)
        if (metrics_accept_error(i) == error)
            n += metrics_accept_errors(&scene->shared.metrics, i);
    return n;
}

Test(acceptor, pauses_without_spinning_when_out_of_descriptors)
{
    struct accepting scene;
    uint64_t now = ACCEPTING_START;

    accepting_open(&scene, 1, 8);
    int client = place_connect(&scene.place, 0);
    leave_descriptors(0);
    cr_assert_eq(accepting_hear(&scene, now), 1);
    cr_assert_eq(acceptor_run(&scene.acceptor, now), 0);
    for (int i = 0; i < 5; i++) {
        cr_assert(accepting_is_paused(&scene));
        cr_assert_eq(acceptor_next_deadline(&scene.acceptor), now + RETRY);
        cr_assert_eq(accepting_hear(&scene, now), 0);
        now += RETRY;
        cr_assert_eq(acceptor_run(&scene.acceptor, now), 0);
    }
    cr_assert_eq(told.n_errors, 1, "one entry for the whole episode");
    cr_assert_eq(told.errors[0], EMFILE);
    cr_assert_eq(n_accept_errors(&scene, EMFILE), 6, "all tries are counted");

    leave_descriptors(2);
    cr_assert_eq(accepting_go_round(&scene, now + RETRY), 0);
    cr_assert_eq(scene.clients.n, 1);
    cr_assert_not(accepting_is_paused(&scene));
    place_read_hello(client);
    accepting_close(&scene);
}

/* accept4(2) looks for a descriptor before it looks for a client. */
Test(acceptor, lets_nobody_go_for_a_descriptor_that_nobody_waits_for)
{
    struct accepting scene;

    accepting_open(&scene, 1, 8);
    place_connect(&scene.place, 0);
    leave_descriptors(1);
    cr_assert_eq(accepting_go_round(&scene, ACCEPTING_START), 0);
    cr_assert_eq(scene.clients.n, 1);
    cr_assert_eq(n_accept_errors(&scene, EMFILE), 0);
    accepting_close(&scene);
}

Test(acceptor, lets_the_oldest_go_when_out_of_descriptors)
{
    struct accepting scene;

    accepting_open(&scene, 1, 8);
    place_connect(&scene.place, 0);
    cr_assert_eq(accepting_go_round(&scene, ACCEPTING_START), 0);
    int client = place_connect(&scene.place, 0);
    leave_descriptors(0);
    cr_assert_eq(accepting_go_round(&scene, ACCEPTING_START), 0);
    cr_assert_eq(told.stories[0].number, 1);
    place_read_hello(client);
    accepting_close(&scene);
}

/* Runs out of descriptors once, at NOW, with a client waiting, who is greeted after that and goes.
 */
static void exhaust(struct accepting *scene, uint64_t now_usec)
{
    place_connect(&scene->place, 0);
    net_wait(scene->place.listeners[0].fd, POLLIN);
    accept_error = ENFILE;
    accept_failures = 1;
    scene->clients.newest->lanes[0].ready = true;
    cr_assert_eq(acceptor_run(&scene->acceptor, now_usec), 0);
    cr_assert(accepting_is_paused(scene));
    cr_assert_eq(acceptor_run(&scene->acceptor, now_usec + RETRY), 0);
    cr_assert_not(accepting_is_paused(scene));
    /* Nobody is to be there the next time who could be let go. */
    clients_abandon(&scene->clients, now_usec + RETRY);
}

Test(acceptor, logs_the_next_episode_again)
{
    struct accepting scene;

    accepting_open(&scene, 1, 8);
    exhaust(&scene, ACCEPTING_START);
    exhaust(&scene, ACCEPTING_START + PLACE_SECOND);
    cr_assert_eq(told.n_errors, 1);
    exhaust(&scene, ACCEPTING_START + 20 * PLACE_SECOND);
    cr_assert_eq(told.n_errors, 2);
    accepting_close(&scene);
}

/* Workers look at the clock before they find out, so another may have been later and yet first. */
Test(acceptor, an_episode_that_another_worker_has_just_logged_is_the_same)
{
    struct accepting scene;

    accepting_open(&scene, 1, 8);
    scene.shared.exhausted_usec = ACCEPTING_START + 10;
    exhaust(&scene, ACCEPTING_START);
    cr_assert_eq(told.n_errors, 0);
    accepting_close(&scene);
}

ParameterizedTestParameters(acceptor, passes_over_a_client_that_is_gone)
{
    static int errors[] = {ECONNABORTED, EPROTO, EINTR, ENETDOWN, EHOSTUNREACH};
    return cr_make_param_array(int, errors, ELEMENTSOF(errors));
}

ParameterizedTest(int *error, acceptor, passes_over_a_client_that_is_gone, .timeout = 60)
{
    struct accepting scene;

    accepting_open(&scene, 1, 8);
    int client = place_connect(&scene.place, 0);
    accept_error = *error;
    accept_failures = 3;
    cr_assert_eq(accepting_go_round(&scene, ACCEPTING_START), 0);
    cr_assert_eq(told.n_errors, 0);
    cr_assert_eq(n_accept_errors(&scene, *error), *error == EINTR ? 0 : 3);
    place_read_hello(client);
    accepting_close(&scene);
}

ParameterizedTestParameters(acceptor, tries_again_later_what_a_security_module_denies)
{
    static int errors[] = {EACCES, EPERM};
    return cr_make_param_array(int, errors, ELEMENTSOF(errors));
}

/* The client stays in the queue. */
ParameterizedTest(int *error, acceptor, tries_again_later_what_a_security_module_denies,
                  .timeout = 60)
{
    struct accepting scene;

    accepting_open(&scene, 1, 8);
    place_connect(&scene.place, 0);
    cr_assert_eq(accepting_go_round(&scene, ACCEPTING_START), 0);
    int client = place_connect(&scene.place, 0);
    accept_error = *error;
    accept_failures = 1;
    cr_assert_eq(accepting_go_round(&scene, ACCEPTING_START), 0);
    cr_assert_eq(told.n_errors, 1);
    cr_assert_eq(told.errors[0], *error);
    cr_assert_eq(n_accept_errors(&scene, *error), 1);
    cr_assert_eq(told.n, 0, "nobody is evicted for it");
    cr_assert_eq(acceptor_next_deadline(&scene.acceptor), ACCEPTING_START + RETRY);
    cr_assert_eq(accepting_go_round(&scene, ACCEPTING_START + RETRY), 0);
    place_read_hello(client);
    accepting_close(&scene);
}

/* A security module is asked even if no client is there. */
Test(acceptor, does_not_pause_for_a_denial_that_concerns_nobody)
{
    struct accepting scene;

    accepting_open(&scene, 1, 8);
    accept_error = EACCES;
    accept_failures = 1;
    acceptor_look_again(&scene.acceptor);
    cr_assert_eq(acceptor_run(&scene.acceptor, ACCEPTING_START), 0);
    cr_assert_not(accepting_is_paused(&scene));
    cr_assert_eq(told.n_errors, 0);
    accepting_close(&scene);
}

/* Another worker may have a client to evict. */
Test(acceptor, asks_others_when_out_of_descriptors)
{
    struct accepting scene;

    accepting_open(&scene, 1, 8);
    place_connect(&scene.place, 0);
    leave_descriptors(0);
    cr_assert_eq(accepting_go_round(&scene, ACCEPTING_START), 0);
    cr_assert(accepting_is_paused(&scene));
    cr_assert_eq(accepting_n_asked(&scene), 1);
    cr_assert_eq(accepting_go_round(&scene, ACCEPTING_START + RETRY), 0);
    cr_assert_eq(accepting_n_asked(&scene), 0);
    accepting_close(&scene);
}

Test(acceptor, fails_with_what_makes_a_socket_useless)
{
    struct accepting scene;

    accepting_open(&scene, 1, 8);
    place_connect(&scene.place, 0);
    shutdown(scene.place.listeners[0].fd, SHUT_RDWR);
    cr_assert_eq(accepting_go_round(&scene, ACCEPTING_START), -EINVAL);
    accepting_close(&scene);
}
