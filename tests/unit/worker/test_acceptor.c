/* SPDX-License-Identifier: MIT */
#include "greetd/worker/acceptor.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <sys/syscall.h>

#include "greetd/base/cleanup.h"
#include "greetd/base/clock.h"
#include "greetd/net/accept_error.h"
#include "support/acceptor_fixture.h"
#include "support/descriptors.h"
#include "support/fake.h"
#include "support/fake_logger.h"
#include "support/net.h"
#include "support/snapshot_fixture.h"

#define RETRY 20000

TestSuite(acceptor, .timeout = 60);

/* accept4(2) fails ACCEPT_FAILURES times with ACCEPT_ERROR; after that it calls the kernel. */
static int accept_error;
static unsigned accept_failures;

FAKE int accept4(int fd, __SOCKADDR_ARG address, socklen_t *length, int flags)
{
    if (accept_failures > 0) {
        accept_failures--;
        errno = accept_error;
        return -1;
    }
    return (int)syscall(SYS_accept4, fd, address.__sockaddr__, length, flags);
}

Test(acceptor, accepts_from_a_listener_that_epoll_reports)
{
    struct acceptor_fixture fixture;

    acceptor_fixture_open(&fixture, 2, 8);
    cr_assert_eq(acceptor_fixture_dispatch(&fixture, ACCEPTOR_FIXTURE_START), 0);
    int client = snapshot_fixture_connect(&fixture.net, 1);
    cr_assert_eq(acceptor_run(&fixture.acceptor, ACCEPTOR_FIXTURE_START), 0);
    cr_assert_eq(fixture.clients.n, 0, "epoll has not reported a client");

    cr_assert_eq(acceptor_fixture_dispatch(&fixture, ACCEPTOR_FIXTURE_START), 1);
    cr_assert_eq(acceptor_next_deadline(&fixture.acceptor), 0);
    cr_assert_eq(acceptor_run(&fixture.acceptor, ACCEPTOR_FIXTURE_START), 0);
    cr_assert_eq(fixture.clients.n, 1);
    cr_assert_eq(acceptor_next_deadline(&fixture.acceptor), USEC_INFINITY);
    cr_assert_eq(acceptor_fixture_dispatch(&fixture, ACCEPTOR_FIXTURE_START), 0);
    snapshot_fixture_read_hello(client);
    acceptor_fixture_close(&fixture);
}

Test(acceptor, records_the_address_of_the_client)
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

Test(acceptor, records_the_credentials_of_a_local_client)
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

Test(acceptor, accepts_in_batches)
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

Test(acceptor, evicts_no_client_for_an_empty_queue)
{
    struct acceptor_fixture fixture;

    acceptor_fixture_open(&fixture, 1, 2);
    acceptor_fixture_connect(&fixture, 2);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, ACCEPTOR_FIXTURE_START), 0);
    cr_assert_eq(fixture.clients.n, 2);
    cr_assert_eq(fake_logger.n, 0);
    acceptor_fixture_close(&fixture);
}

/* Uses up the descriptors below 128, except for N. */
static void leave_descriptors(int n)
{
    int fd;

    (void)descriptors_deny_from(128);
    while ((fd = dup(STDERR_FILENO)) >= 0)
        ;
    cr_assert_eq(errno, EMFILE);
    for (fd = 127; n > 0; n--)
        cr_assert_eq(close(fd--), 0);
}

/* Returns how many failures of accept4(2) with ERROR are counted. */
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
    cr_assert_eq(n_accept_errors(&fixture, EMFILE), 6, "every attempt is counted");

    leave_descriptors(2);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, now + RETRY), 0);
    cr_assert_eq(fixture.clients.n, 1);
    cr_assert_not(acceptor_fixture_is_paused(&fixture));
    snapshot_fixture_read_hello(client);
    acceptor_fixture_close(&fixture);
}

/* accept4(2) looks for a descriptor before it looks for a client. */
Test(acceptor, evicts_no_client_if_the_last_descriptor_suffices)
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

Test(acceptor, evicts_the_oldest_client_when_out_of_descriptors)
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

/* Runs out of descriptors once, at NOW_USEC, while a client is pending. The client is accepted at
 * the next attempt and then dropped. */
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
    /* No client must be left that the next episode could evict. */
    clients_close_all(&fixture->clients, now_usec + RETRY);
}

Test(acceptor, logs_each_episode_once)
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

/* Workers read the clock before the error, so the first to log may have a later time. */
Test(acceptor, does_not_log_an_episode_that_another_worker_has_logged)
{
    struct acceptor_fixture fixture;

    acceptor_fixture_open(&fixture, 1, 8);
    fixture.shared.paused_usec = ACCEPTOR_FIXTURE_START + 10;
    exhaust(&fixture, ACCEPTOR_FIXTURE_START);
    cr_assert_eq(fake_logger.n_errors, 0);
    acceptor_fixture_close(&fixture);
}

ParameterizedTestParameters(acceptor, skips_a_client_that_is_gone)
{
    static int errors[] = {ECONNABORTED, EPROTO, EINTR, ENETDOWN, EHOSTUNREACH};
    return cr_make_param_array(int, errors, ELEMENTSOF(errors));
}

ParameterizedTest(int *error, acceptor, skips_a_client_that_is_gone, .timeout = 60)
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

ParameterizedTestParameters(acceptor, retries_later_if_a_security_module_denies_accept)
{
    static int errors[] = {EACCES, EPERM};
    return cr_make_param_array(int, errors, ELEMENTSOF(errors));
}

/* The client stays in the queue meanwhile. */
ParameterizedTest(int *error, acceptor, retries_later_if_a_security_module_denies_accept,
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
    cr_assert_eq(fake_logger.n, 0, "no client is evicted for it");
    cr_assert_eq(acceptor_next_deadline(&fixture.acceptor), ACCEPTOR_FIXTURE_START + RETRY);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, ACCEPTOR_FIXTURE_START + RETRY), 0);
    snapshot_fixture_read_hello(client);
    acceptor_fixture_close(&fixture);
}

/* A security module is asked even if the queue is empty. */
Test(acceptor, does_not_pause_for_a_denial_without_a_client)
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
Test(acceptor, asks_other_workers_when_out_of_descriptors)
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

Test(acceptor, fails_when_a_listening_socket_breaks)
{
    struct acceptor_fixture fixture;

    acceptor_fixture_open(&fixture, 1, 8);
    snapshot_fixture_connect(&fixture.net, 0);
    shutdown(fixture.net.listeners[0].fd, SHUT_RDWR);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, ACCEPTOR_FIXTURE_START), -EINVAL);
    acceptor_fixture_close(&fixture);
}
