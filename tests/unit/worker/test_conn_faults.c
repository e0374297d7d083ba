/* SPDX-License-Identifier: MIT */

/* Tests of failing system calls: each call for a client fails once with each of its errors. */

/* Fortification makes recv(2) an inline function, which a definition here could not replace. */
#undef _FORTIFY_SOURCE

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <sys/epoll.h>
#include <sys/syscall.h>

#include "greetd/base/cleanup.h"
#include "greetd/base/clock.h"
#include "greetd/greeting/variable.h"
#include "greetd/journal/record.h"
#include "greetd/metrics/result.h"
#include "support/acceptor_fixture.h"
#include "support/descriptors.h"
#include "support/fake.h"
#include "support/fake_logger.h"
#include "support/fake_prometheus.h"

#define GREETING_SIZE 40

enum call { CALL_SEND, CALL_RECV, CALL_SHUTDOWN, CALL_ACCEPT, CALL_EPOLL_CTL };

/* The fault: CALL fails with ERROR from its NTH call on, counted from 1, TIMES times. */
static struct {
    enum call call;
    int error;
    unsigned nth, times;
    unsigned n;        /* calls so far */
    unsigned n_failed; /* calls that have failed */
    bool dribble;      /* send(2) takes one byte at a time */
} fault;

/* The kind of greeting. */
static bool on_data;      /* GreetOn=data */
static bool has_variable; /* the greeting has a variable, which is empty */

/* Counts a call. Returns whether it must fail. */
static bool must_fail(enum call call)
{
    if (fault.call != call || fault.error == 0)
        return false;
    fault.n++;
    if (fault.n < fault.nth || fault.n >= fault.nth + fault.times)
        return false;
    fault.n_failed++;
    errno = fault.error;
    return true;
}

/* Whether FD is non-blocking, like the sockets of greetd. Calls on other sockets do not fail. */
static bool is_server(int fd)
{
    return fcntl(fd, F_GETFL) & O_NONBLOCK;
}

FAKE ssize_t send(int fd, const void *bytes, size_t size, int flags)
{
    if (is_server(fd) && must_fail(CALL_SEND))
        return -1;
    if (is_server(fd) && fault.dribble && size > 1)
        size = 1;
    return syscall(SYS_sendto, fd, bytes, size, flags, NULL, 0);
}

FAKE ssize_t recv(int fd, void *buffer, size_t size, int flags)
{
    if (is_server(fd) && must_fail(CALL_RECV))
        return -1;
    return syscall(SYS_recvfrom, fd, buffer, size, flags, NULL, NULL);
}

FAKE int shutdown(int fd, int how)
{
    if (is_server(fd) && must_fail(CALL_SHUTDOWN))
        return -1;
    return (int)syscall(SYS_shutdown, fd, how);
}

FAKE int accept4(int fd, __SOCKADDR_ARG address, socklen_t *restrict length, int flags)
{
    if (must_fail(CALL_ACCEPT))
        return -1;
    return (int)syscall(SYS_accept4, fd, address.__sockaddr__, length, flags);
}

FAKE int epoll_ctl(int epoll_fd, int operation, int fd, struct epoll_event *event)
{
    if (must_fail(CALL_EPOLL_CTL))
        return -1;
    return (int)syscall(SYS_epoll_ctl, epoll_fd, operation, fd, event);
}

/* The part of the greeting that the client has received. */
struct received {
    size_t size;
    bool ended; /* by a clean end of stream */
    bool reset;
};

/* Reads everything that has arrived. */
static void receive(struct received *received, int client, const struct greeting *greeting)
{
    char text[GREETING_SIZE + 1];
    ssize_t n;

    while ((n = recv(client, text, sizeof(text), MSG_DONTWAIT)) > 0) {
        cr_assert_leq(received->size + (size_t)n, greeting->size);
        cr_assert_arr_eq(text, greeting->bytes + received->size, (size_t)n);
        received->size += (size_t)n;
    }
    received->ended = n == 0;
    received->reset = n < 0 && errno != EAGAIN;
}

/* Makes rounds of the loop until the client has a record. The client closes after the end of
 * stream, but not at once, so that greetd lingers. Each round passes CONN_AGAIN_USEC to greetd and
 * gives the kernel a real millisecond to deliver. */
static struct received run_until_recorded(struct acceptor_fixture *fixture, int *client)
{
    uint64_t now_usec = ACCEPTOR_FIXTURE_START;
    struct received received = {0};

    for (int left = NET_BOUND_MSEC; fake_logger.n == 0; left--) {
        cr_assert_gt(left, 0, "the client does not end");
        cr_assert_eq(acceptor_fixture_run_once(fixture, now_usec), 0);
        if (*client >= 0)
            receive(&received, *client, &fixture->net.greetings[0]);
        if (received.ended && now_usec > ACCEPTOR_FIXTURE_START + 4 * CONN_AGAIN_USEC)
            *client = safe_close(*client);
        poll(NULL, 0, 1);
        now_usec += CONN_AGAIN_USEC;
    }
    NET_WAIT_UNTIL(*client < 0 || (receive(&received, *client, &fixture->net.greetings[0]),
                                   received.ended || received.reset));
    return received;
}

/* Checks the outcome. EINTR, EAGAIN and a temporary lack of memory, also in epoll, must not harm
 * the client; nor must a failure after the whole greeting. */
static void check_outcome(const struct received *received, const struct greeting *greeting)
{
    const struct connection_record *record = &fake_logger.records[0];
    bool harmless = fault.n_failed == 0 || fault.error == EINTR || fault.error == EAGAIN ||
                    fault.call == CALL_ACCEPT || fault.call == CALL_EPOLL_CTL ||
                    (fault.call == CALL_SEND && fault.error != ECONNRESET);

    cr_assert_eq(fake_logger.n, 1);
    cr_assert_leq(record->bytes_acked, record->bytes);
    cr_assert_leq(received->size, record->bytes);
    if (harmless) {
        cr_assert_eq(received->size, greeting->size);
        cr_assert(received->ended);
        cr_assert_eq(record->result, RESULT_DELIVERED);
    } else if (received->size < greeting->size) {
        cr_assert_eq(record->result, fault.error == ECONNRESET ? RESULT_RESET : RESULT_ERROR);
    } else {
        /* It depends on timing whether the kernel has every acknowledgement by then. */
        cr_assert(record->result == RESULT_DELIVERED ||
                  record->result == (fault.error == ECONNRESET ? RESULT_RESET : RESULT_ERROR));
    }
}

/* Serves one client that connects, sends, reads to the end of stream and closes. Returns whether
 * any call failed. */
static bool serve_once(void)
{
    static char bytes[GREETING_SIZE];
    struct greeting_piece piece = {.size = sizeof(bytes), .variable = variable_find("metrics", 7)};
    struct acceptor_fixture fixture;
    size_t before = descriptors_count();
    int error = fault.error;

    memset(bytes, 'x', sizeof(bytes));
    fault.n = fault.n_failed = 0;
    fake_logger.n = fake_logger.n_errors = 0;
    fault.error = 0;
    acceptor_fixture_open(&fixture, 1, 2);
    fixture.net.greetings[0] = (struct greeting){
        .bytes = bytes,
        .size = sizeof(bytes),
        .pieces = has_variable ? &piece : NULL,
        .n_pieces = has_variable,
    };
    fixture.net.configs[0].settings.greet_on = on_data ? GREET_ON_DATA : GREET_ON_CONNECT;
    fixture.net.configs[0].settings.data_timeout_usec = USEC_INFINITY;
    int client = snapshot_fixture_connect(&fixture.net, 0);
    cr_assert_eq(send(client, "hello", 5, MSG_NOSIGNAL), 5);
    fault.error = error;

    struct received received = run_until_recorded(&fixture, &client);
    check_outcome(&received, &fixture.net.greetings[0]);
    cr_assert_eq(fixture.clients.n, 0);
    cr_assert_eq(fixture.clients.n_ended, 1);
    cr_assert_leq(fixture.clients.n_used, 1);

    safe_close(client);
    close(fixture.context.epoll_fd);
    acceptor_fixture_close(&fixture);
    cr_assert_eq(descriptors_count(), before);
    return fault.n_failed > 0;
}

/* One error of one call, that lasts for TIMES calls. */
struct failure {
    enum call call;
    int error;
    unsigned times;
    bool dribble;
};

static struct failure failures[] = {
    {CALL_SEND, EINTR, 1, true},           {CALL_SEND, EAGAIN, 1, true},
    {CALL_SEND, ENOBUFS, 1, true},         {CALL_SEND, ENOBUFS, 5, true},
    {CALL_SEND, ENOMEM, 1, true},          {CALL_SEND, ECONNRESET, 1, true},
    {CALL_SEND, EINTR, 7, false},          {CALL_SEND, ECONNRESET, 1, false},
    {CALL_RECV, EINTR, 1, false},          {CALL_RECV, EAGAIN, 1, false},
    {CALL_RECV, ENOMEM, 1, false},         {CALL_RECV, ECONNRESET, 1, false},
    {CALL_SHUTDOWN, ECONNRESET, 1, false}, {CALL_SHUTDOWN, ENOMEM, 1, false},
    {CALL_ACCEPT, EINTR, 1, false},        {CALL_ACCEPT, EAGAIN, 1, false},
    {CALL_ACCEPT, ENOBUFS, 1, false},      {CALL_ACCEPT, ENOMEM, 3, false},
    {CALL_EPOLL_CTL, ENOMEM, 1, false},    {CALL_EPOLL_CTL, ENOSPC, 1, false},
};

ParameterizedTestParameters(conn_faults, survives_a_failure_of_every_call)
{
    return cr_make_param_array(struct failure, failures, ELEMENTSOF(failures));
}

ParameterizedTest(struct failure *failure, conn_faults, survives_a_failure_of_every_call,
                  .timeout = 120)
{
    fault.call = failure->call;
    fault.error = failure->error;
    fault.times = failure->times;
    fault.dribble = failure->dribble;
    for (unsigned kind = 0; kind < 4; kind++) {
        unsigned nth = 0;

        on_data = kind & 1;
        has_variable = kind & 2;
        do
            fault.nth = ++nth;
        while (serve_once());
        /* The last client met no failure, and at least one before it did. */
        cr_assert_gt(nth, failure->dribble ? GREETING_SIZE : 1);
    }
}

Test(conn_faults, delivers_a_greeting_sent_one_byte_at_a_time, .timeout = 60)
{
    fault.dribble = true;
    cr_assert_not(serve_once());
    cr_assert_eq(fake_logger.records[0].bytes, GREETING_SIZE);
}
