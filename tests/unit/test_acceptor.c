/* SPDX-License-Identifier: MIT */
#include "greetd/acceptor.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "accepting.h"
#include "greetd/util.h"
#include "net.h"
#include "place.h"
#include "told.h"

#define RETRY 8000

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

/* Then it is their turn, and whoever has been greeted here may stay. */
Test(acceptor, leaves_newcomers_to_others_while_these_have_room)
{
    struct accepting scene;

    accepting_open(&scene, 1, 2);
    scene.shared.max_connections = 4;
    accepting_connect(&scene, 2);
    cr_assert_eq(accepting_go_round(&scene, ACCEPTING_START), 0);
    cr_assert_eq(scene.clients.n, 2);
    cr_assert(accepting_is_paused(&scene));
    place_connect(&scene.place, 0);
    cr_assert_eq(accepting_go_round(&scene, acceptor_next_deadline(&scene.acceptor)), 0);
    cr_assert_eq(told.n, 0);

    /* Another worker has taken as many by now. */
    scene.shared.max_connections = 2;
    uint64_t again = acceptor_next_deadline(&scene.acceptor);
    cr_assert_eq(accepting_go_round(&scene, again), 0);
    cr_assert_eq(accepting_go_round(&scene, again), 0);
    cr_assert_eq(told.n, 1);
    cr_assert_eq(told.stories[0].number, 1);
    accepting_close(&scene);
}

Test(acceptor, lets_the_oldest_go_when_full)
{
    struct accepting scene;

    accepting_open(&scene, 1, 2);
    for (uint64_t i = 0; i < 5; i++) {
        place_connect(&scene.place, 0);
        cr_assert_eq(accepting_go_round(&scene, ACCEPTING_START + i * CONN_SOON_USEC), 0);
    }
    cr_assert_eq(scene.clients.n, 2);
    cr_assert_eq(told.n, 3);
    for (size_t i = 0; i < 3; i++)
        cr_assert_eq(told.stories[i].number, i + 1);
    cr_assert_not(accepting_is_paused(&scene));
    accepting_close(&scene);
}

Test(acceptor, pauses_while_full_and_goes_on_when_someone_has_gone)
{
    struct accepting scene;
    int first = accepting_fill(&scene, 2);

    cr_assert(accepting_is_paused(&scene), "another worker must hear of the next one");
    int second = place_connect(&scene.place, 1);
    cr_assert_eq(accepting_hear(&scene, ACCEPTING_START), 0);
    /* Looks again before long, in case others have filled up; here nothing has changed by then. */
    uint64_t again = acceptor_next_deadline(&scene.acceptor);
    cr_assert_gt(again, ACCEPTING_START);
    cr_assert_eq(acceptor_run(&scene.acceptor, again), 0);
    cr_assert(accepting_is_paused(&scene));
    cr_assert_eq(scene.clients.n, 1);

    net_reset(first);
    NET_WAIT_UNTIL((accepting_hear(&scene, ACCEPTING_START), scene.clients.n == 0));
    cr_assert_eq(acceptor_run(&scene.acceptor, ACCEPTING_START), 0);
    cr_assert_not(accepting_is_paused(&scene));
    place_read_hello(second);
    accepting_close(&scene);
}

Test(acceptor, goes_on_when_a_client_of_a_full_table_can_be_let_go)
{
    struct accepting scene;
    int first = accepting_fill(&scene, 2);
    char *bytes = malloc(PLACE_HUGE);

    int second = place_connect(&scene.place, 1);
    for (size_t n = 0; n < PLACE_HUGE;) {
        net_wait(first, POLLIN);
        ssize_t r = recv(first, bytes + n, PLACE_HUGE - n, 0);
        cr_assert_gt(r, 0);
        n += (size_t)r;
        cr_assert_eq(accepting_go_round(&scene, ACCEPTING_START), 0);
    }
    free(bytes);
    /* The first one has its greeting and stays: it has to make room. */
    uint64_t again = acceptor_next_deadline(&scene.acceptor);
    cr_assert_eq(accepting_go_round(&scene, again), 0);
    cr_assert_eq(accepting_go_round(&scene, again), 0);
    cr_assert_eq(told.n, 1);
    cr_assert_eq(told.stories[0].number, 1);
    place_read_hello(second);
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

/* How often other workers were asked to look. */
static eventfd_t n_asked(const struct accepting *scene)
{
    eventfd_t n = 0;

    return eventfd_read(scene->shared.look_fd, &n) == 0 ? n : 0;
}

/* Epoll has woken this worker alone: without a word nobody would take that client before some time
 * has passed. */
Test(acceptor, asks_others_to_take_a_client_that_it_leaves_to_them)
{
    struct accepting scene;

    accepting_open(&scene, 1, 2);
    accepting_connect(&scene, 2);
    cr_assert_eq(accepting_go_round(&scene, ACCEPTING_START), 0);
    cr_assert_not(accepting_is_paused(&scene), "all places are taken, two can be evicted");
    scene.shared.max_connections = 4;
    place_connect(&scene.place, 0);
    cr_assert_eq(accepting_go_round(&scene, ACCEPTING_START), 0);
    cr_assert(accepting_is_paused(&scene));
    cr_assert_eq(n_asked(&scene), 1);

    /* Once is enough: while it is paused epoll announces no client to it. */
    for (uint64_t i = 1; i < 4; i++) {
        cr_assert_eq(accepting_go_round(&scene, ACCEPTING_START + i * RETRY), 0);
        cr_assert(accepting_is_paused(&scene));
    }
    acceptor_look_again(&scene.acceptor);
    cr_assert_eq(acceptor_run(&scene.acceptor, ACCEPTING_START + 4 * RETRY), 0);
    cr_assert_eq(n_asked(&scene), 0);
    cr_assert_eq(told.n, 0);
    accepting_close(&scene);
}

Test(acceptor, asks_nobody_when_the_queue_is_empty)
{
    struct accepting scene;

    accepting_open(&scene, 1, 2);
    scene.shared.max_connections = 4;
    accepting_connect(&scene, 2);
    cr_assert_eq(accepting_go_round(&scene, ACCEPTING_START), 0);
    cr_assert(accepting_is_paused(&scene));
    cr_assert_eq(n_asked(&scene), 0);
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
    cr_assert_eq(n_asked(&scene), 1);
    cr_assert_eq(accepting_go_round(&scene, ACCEPTING_START + RETRY), 0);
    cr_assert_eq(n_asked(&scene), 0);
    accepting_close(&scene);
}

/* Though epoll has announced nothing, and this worker has not paused. */
Test(acceptor, looks_again_when_another_asks_for_it)
{
    struct accepting scene;

    accepting_open(&scene, 2, 8);
    int client = place_connect(&scene.place, 1);
    acceptor_look_again(&scene.acceptor);
    cr_assert_eq(acceptor_next_deadline(&scene.acceptor), 0);
    cr_assert_eq(acceptor_run(&scene.acceptor, ACCEPTING_START), 0);
    place_read_hello(client);
    accepting_close(&scene);
}

/* Ends one client after the other, with a place for only one, and returns which listener each of
 * the others came to. */
static void take_turns(struct accepting *scene, size_t n, size_t *ret_turns)
{
    for (size_t i = 0; i < n; i++) {
        const uint64_t n_first = scene->clients.newest->lanes[0].n_clients;
        cr_assert_eq(scene->clients.n, 1);
        ret_turns[i] = n_first == 1 ? 0 : 1;
        clients_abandon(&scene->clients, ACCEPTING_START);
        cr_assert_eq(acceptor_run(&scene->acceptor, ACCEPTING_START), 0);
    }
}

Test(acceptor, gives_each_listener_its_turn_while_places_are_few)
{
    struct accepting scene;
    size_t turns[6];

    accepting_fill(&scene, 2);
    place_make_huge(&scene.place, 1);
    accepting_connect(&scene, 4);
    place_connect(&scene.place, 1);
    place_connect(&scene.place, 1);
    take_turns(&scene, 6, turns);
    cr_assert_arr_eq(turns, ((size_t[]){0, 1, 0, 1, 0, 0}), sizeof(turns));
    accepting_close(&scene);
}

/* Slow clients of one listener must not shut out those of another. */
Test(acceptor, keeps_a_place_for_a_listener_that_has_no_client)
{
    struct accepting scene;

    accepting_open(&scene, 2, 4);
    place_make_huge(&scene.place, 0);
    accepting_connect(&scene, 5);
    cr_assert_eq(accepting_go_round(&scene, ACCEPTING_START), 0);
    cr_assert_eq(scene.clients.n, 3);
    cr_assert(accepting_is_paused(&scene));
    int client = place_connect(&scene.place, 1);
    cr_assert_eq(accepting_hear(&scene, ACCEPTING_START), 1, "this listener is not paused");
    cr_assert_eq(acceptor_run(&scene.acceptor, ACCEPTING_START), 0);
    cr_assert_eq(scene.clients.n, 4);
    place_read_hello(client);
    accepting_close(&scene);
}

/* With the last of the other places a lingering client is evicted. */
Test(acceptor, evicts_where_only_a_kept_place_is_free)
{
    struct accepting scene;

    accepting_open(&scene, 2, 4);
    accepting_connect(&scene, 4);
    NET_WAIT_UNTIL((accepting_go_round(&scene, ACCEPTING_START), told.n > 0));
    cr_assert_eq(scene.clients.n, 3);
    cr_assert_eq(told.stories[0].number, 1);
    place_connect(&scene.place, 1);
    cr_assert_eq(accepting_go_round(&scene, ACCEPTING_START), 0);
    cr_assert_eq(scene.clients.n, 4);
    cr_assert_eq(told.n, 1);
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
