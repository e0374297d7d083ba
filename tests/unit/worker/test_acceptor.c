/* SPDX-License-Identifier: MIT */
#include "greetd/worker/acceptor.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "greetd/base/cleanup.h"
#include "greetd/base/clock.h"
#include "greetd/net/accept_error.h"
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
    struct acceptor_fixture fixture;

    acceptor_fixture_open(&fixture, 2, 8);
    cr_assert_eq(acceptor_fixture_dispatch(&fixture, ACCEPTOR_FIXTURE_START), 0);
    int client = snapshot_fixture_connect(&fixture.net, 1);
    cr_assert_eq(acceptor_run(&fixture.acceptor, ACCEPTOR_FIXTURE_START), 0);
    cr_assert_eq(fixture.clients.n, 0, "nobody has been announced");

    cr_assert_eq(acceptor_fixture_dispatch(&fixture, ACCEPTOR_FIXTURE_START), 1);
    cr_assert_eq(acceptor_next_deadline(&fixture.acceptor), 0);
    cr_assert_eq(acceptor_run(&fixture.acceptor, ACCEPTOR_FIXTURE_START), 0);
    cr_assert_eq(fixture.clients.n, 1);
    cr_assert_eq(acceptor_next_deadline(&fixture.acceptor), USEC_INFINITY);
    cr_assert_eq(acceptor_fixture_dispatch(&fixture, ACCEPTOR_FIXTURE_START), 0);
    snapshot_fixture_read_hello(client);
    acceptor_fixture_close(&fixture);
}

Test(acceptor, knows_who_the_client_is)
{
    struct acceptor_fixture fixture;
    struct sockaddr_in own;
    socklen_t length = sizeof(own);

    acceptor_fixture_open(&fixture, 1, 8);
    int client = snapshot_fixture_connect(&fixture.net, 0);
    cr_assert_eq(getsockname(client, (struct sockaddr *)&own, &length), 0);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, ACCEPTOR_FIXTURE_START), 0);
    acceptor_fixture_close(&fixture);
    cr_assert_eq(fake_logger.records[0].peer.family, AF_INET);
    cr_assert_eq(fake_logger.records[0].peer.port, ntohs(own.sin_port));
    cr_assert_eq(fake_logger.records[0].peer.in.s_addr, htonl(INADDR_LOOPBACK));
}

Test(acceptor, knows_the_process_behind_a_local_client)
{
    struct acceptor_fixture fixture;
    struct sockaddr_un address;
    socklen_t length = sizeof(address);

    acceptor_fixture_open(&fixture, 1, 8);
    acceptor_hold(&fixture.acceptor);
    int fd = net_listen_local(SOCK_STREAM | SOCK_NONBLOCK);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    cr_assert_eq(dup2(fd, fixture.net.listeners[0].fd), fixture.net.listeners[0].fd);
    acceptor_resume(&fixture.acceptor);

    int client = socket(AF_UNIX, SOCK_STREAM, 0);
    cr_assert_eq(connect(client, (struct sockaddr *)&address, length), 0);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, ACCEPTOR_FIXTURE_START), 0);
    acceptor_fixture_close(&fixture);
    cr_assert_eq(fake_logger.n, 1);
    cr_assert_eq(fake_logger.records[0].peer.family, AF_UNIX);
    cr_assert_eq(fake_logger.records[0].peer.un.pid, (uint32_t)getpid());
    cr_assert_eq(fake_logger.records[0].peer.un.uid, getuid());
}

Test(acceptor, takes_a_few_at_a_time)
{
    struct acceptor_fixture fixture;

    acceptor_fixture_open(&fixture, 1, 64);
    acceptor_fixture_connect(&fixture, ACCEPTOR_FIXTURE_BATCH + 4);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, ACCEPTOR_FIXTURE_START), 0);
    cr_assert_eq(fixture.clients.n, ACCEPTOR_FIXTURE_BATCH);
    cr_assert_eq(acceptor_next_deadline(&fixture.acceptor), 0);
    cr_assert_eq(acceptor_run(&fixture.acceptor, ACCEPTOR_FIXTURE_START), 0);
    cr_assert_eq(fixture.clients.n, ACCEPTOR_FIXTURE_BATCH + 4);
    cr_assert_eq(acceptor_next_deadline(&fixture.acceptor), USEC_INFINITY);
    acceptor_fixture_close(&fixture);
}

Test(acceptor, lets_nobody_go_for_a_place_that_nobody_waits_for)
{
    struct acceptor_fixture fixture;

    acceptor_fixture_open(&fixture, 1, 2);
    acceptor_fixture_connect(&fixture, 2);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, ACCEPTOR_FIXTURE_START), 0);
    cr_assert_eq(fixture.clients.n, 2);
    cr_assert_eq(fake_logger.n, 0);
    acceptor_fixture_close(&fixture);
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
static uint64_t n_accept_errors(const struct acceptor_fixture *fixture, int error)
{
    uint64_t n = 0;

    for (size_t i = 0; i < ACCEPT_ERRORS_N; i++)
        if (accept_error_at(i) == error)
            n += metrics_accept_errors(fixture->shared.metrics, i);
    return n;
}

Test(acceptor, pauses_without_spinning_when_out_of_descriptors)
{
    struct acceptor_fixture fixture;
    uint64_t now = ACCEPTOR_FIXTURE_START;

    acceptor_fixture_open(&fixture, 1, 8);
    int client = snapshot_fixture_connect(&fixture.net, 0);
    leave_descriptors(0);
    cr_assert_eq(acceptor_fixture_dispatch(&fixture, now), 1);
    cr_assert_eq(acceptor_run(&fixture.acceptor, now), 0);
    for (int i = 0; i < 5; i++) {
        cr_assert(acceptor_fixture_is_paused(&fixture));
        cr_assert_eq(acceptor_next_deadline(&fixture.acceptor), now + RETRY);
        cr_assert_eq(acceptor_fixture_dispatch(&fixture, now), 0);
        now += RETRY;
        cr_assert_eq(acceptor_run(&fixture.acceptor, now), 0);
    }
    cr_assert_eq(fake_logger.n_errors, 1, "one entry for the whole episode");
    cr_assert_eq(fake_logger.errors[0], EMFILE);
    cr_assert_eq(n_accept_errors(&fixture, EMFILE), 6, "all tries are counted");

    leave_descriptors(2);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, now + RETRY), 0);
    cr_assert_eq(fixture.clients.n, 1);
    cr_assert_not(acceptor_fixture_is_paused(&fixture));
    snapshot_fixture_read_hello(client);
    acceptor_fixture_close(&fixture);
}

/* accept4(2) looks for a descriptor before it looks for a client. */
Test(acceptor, lets_nobody_go_for_a_descriptor_that_nobody_waits_for)
{
    struct acceptor_fixture fixture;

    acceptor_fixture_open(&fixture, 1, 8);
    snapshot_fixture_connect(&fixture.net, 0);
    leave_descriptors(1);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, ACCEPTOR_FIXTURE_START), 0);
    cr_assert_eq(fixture.clients.n, 1);
    cr_assert_eq(n_accept_errors(&fixture, EMFILE), 0);
    acceptor_fixture_close(&fixture);
}

Test(acceptor, lets_the_oldest_go_when_out_of_descriptors)
{
    struct acceptor_fixture fixture;

    acceptor_fixture_open(&fixture, 1, 8);
    snapshot_fixture_connect(&fixture.net, 0);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, ACCEPTOR_FIXTURE_START), 0);
    int client = snapshot_fixture_connect(&fixture.net, 0);
    leave_descriptors(0);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, ACCEPTOR_FIXTURE_START), 0);
    cr_assert_eq(fake_logger.records[0].number, 1);
    snapshot_fixture_read_hello(client);
    acceptor_fixture_close(&fixture);
}

/* Runs out of descriptors once, at NOW, with a client waiting, who is greeted after that and goes.
 */
static void exhaust(struct acceptor_fixture *fixture, uint64_t now_usec)
{
    snapshot_fixture_connect(&fixture->net, 0);
    net_wait(fixture->net.listeners[0].fd, POLLIN);
    accept_error = ENFILE;
    accept_failures = 1;
    fixture->clients.newest->listeners[0].ready = true;
    cr_assert_eq(acceptor_run(&fixture->acceptor, now_usec), 0);
    cr_assert(acceptor_fixture_is_paused(fixture));
    cr_assert_eq(acceptor_run(&fixture->acceptor, now_usec + RETRY), 0);
    cr_assert_not(acceptor_fixture_is_paused(fixture));
    /* Nobody is to be there the next time who could be let go. */
    clients_close_all(&fixture->clients, now_usec + RETRY);
}

Test(acceptor, logs_the_next_episode_again)
{
    struct acceptor_fixture fixture;

    acceptor_fixture_open(&fixture, 1, 8);
    exhaust(&fixture, ACCEPTOR_FIXTURE_START);
    exhaust(&fixture, ACCEPTOR_FIXTURE_START + SNAPSHOT_FIXTURE_SECOND);
    cr_assert_eq(fake_logger.n_errors, 1);
    exhaust(&fixture, ACCEPTOR_FIXTURE_START + 20 * SNAPSHOT_FIXTURE_SECOND);
    cr_assert_eq(fake_logger.n_errors, 2);
    acceptor_fixture_close(&fixture);
}

/* Workers look at the clock before they find out, so another may have been later and yet first. */
Test(acceptor, an_episode_that_another_worker_has_just_logged_is_the_same)
{
    struct acceptor_fixture fixture;

    acceptor_fixture_open(&fixture, 1, 8);
    fixture.shared.paused_usec = ACCEPTOR_FIXTURE_START + 10;
    exhaust(&fixture, ACCEPTOR_FIXTURE_START);
    cr_assert_eq(fake_logger.n_errors, 0);
    acceptor_fixture_close(&fixture);
}

ParameterizedTestParameters(acceptor, passes_over_a_client_that_is_gone)
{
    static int errors[] = {ECONNABORTED, EPROTO, EINTR, ENETDOWN, EHOSTUNREACH};
    return cr_make_param_array(int, errors, ELEMENTSOF(errors));
}

ParameterizedTest(int *error, acceptor, passes_over_a_client_that_is_gone, .timeout = 60)
{
    struct acceptor_fixture fixture;

    acceptor_fixture_open(&fixture, 1, 8);
    int client = snapshot_fixture_connect(&fixture.net, 0);
    accept_error = *error;
    accept_failures = 3;
    cr_assert_eq(acceptor_fixture_run_once(&fixture, ACCEPTOR_FIXTURE_START), 0);
    cr_assert_eq(fake_logger.n_errors, 0);
    cr_assert_eq(n_accept_errors(&fixture, *error), *error == EINTR ? 0 : 3);
    snapshot_fixture_read_hello(client);
    acceptor_fixture_close(&fixture);
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
    struct acceptor_fixture fixture;

    acceptor_fixture_open(&fixture, 1, 8);
    snapshot_fixture_connect(&fixture.net, 0);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, ACCEPTOR_FIXTURE_START), 0);
    int client = snapshot_fixture_connect(&fixture.net, 0);
    accept_error = *error;
    accept_failures = 1;
    cr_assert_eq(acceptor_fixture_run_once(&fixture, ACCEPTOR_FIXTURE_START), 0);
    cr_assert_eq(fake_logger.n_errors, 1);
    cr_assert_eq(fake_logger.errors[0], *error);
    cr_assert_eq(n_accept_errors(&fixture, *error), 1);
    cr_assert_eq(fake_logger.n, 0, "nobody is evicted for it");
    cr_assert_eq(acceptor_next_deadline(&fixture.acceptor), ACCEPTOR_FIXTURE_START + RETRY);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, ACCEPTOR_FIXTURE_START + RETRY), 0);
    snapshot_fixture_read_hello(client);
    acceptor_fixture_close(&fixture);
}

/* A security module is asked even if no client is there. */
Test(acceptor, does_not_pause_for_a_denial_that_concerns_nobody)
{
    struct acceptor_fixture fixture;

    acceptor_fixture_open(&fixture, 1, 8);
    accept_error = EACCES;
    accept_failures = 1;
    acceptor_look_again(&fixture.acceptor);
    cr_assert_eq(acceptor_run(&fixture.acceptor, ACCEPTOR_FIXTURE_START), 0);
    cr_assert_not(acceptor_fixture_is_paused(&fixture));
    cr_assert_eq(fake_logger.n_errors, 0);
    acceptor_fixture_close(&fixture);
}

/* Another worker may have a client to evict. */
Test(acceptor, asks_others_when_out_of_descriptors)
{
    struct acceptor_fixture fixture;

    acceptor_fixture_open(&fixture, 1, 8);
    snapshot_fixture_connect(&fixture.net, 0);
    leave_descriptors(0);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, ACCEPTOR_FIXTURE_START), 0);
    cr_assert(acceptor_fixture_is_paused(&fixture));
    cr_assert_eq(acceptor_fixture_n_look_requests(&fixture), 1);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, ACCEPTOR_FIXTURE_START + RETRY), 0);
    cr_assert_eq(acceptor_fixture_n_look_requests(&fixture), 0);
    acceptor_fixture_close(&fixture);
}

Test(acceptor, fails_with_what_makes_a_socket_useless)
{
    struct acceptor_fixture fixture;

    acceptor_fixture_open(&fixture, 1, 8);
    snapshot_fixture_connect(&fixture.net, 0);
    shutdown(fixture.net.listeners[0].fd, SHUT_RDWR);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, ACCEPTOR_FIXTURE_START), -EINVAL);
    acceptor_fixture_close(&fixture);
}
