/* SPDX-License-Identifier: MIT */

/* The system calls of a client's life fail, one after the other, in every way they can. */

/* It would make recv(2) an inline function, which can't take the place of the C library's. */
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
#include "support/fake_logger.h"
#include "support/fake_prometheus.h"

#define GREETING_SIZE 40

enum call { CALL_SEND, CALL_RECV, CALL_SHUTDOWN, CALL_ACCEPT, CALL_EPOLL_CTL };

/* The fault to come: ERROR at the NTH call of CALL, from 1, and at TIMES calls in all. */
static struct {
    enum call call;
    int error;
    unsigned nth, times;
    unsigned n;      /* calls so far */
    unsigned struck; /* how many of them failed */
    bool dribble;    /* send(2) takes one byte at a time */
} fault;

/* How the client is greeted. */
static bool on_data; /* GreetOn=data */
static bool made_up; /* a greeting with a variable, which is empty */

static bool strikes(enum call call)
{
    if (fault.call != call || fault.error == 0)
        return false;
    fault.n++;
    if (fault.n < fault.nth || fault.n >= fault.nth + fault.times)
        return false;
    fault.struck++;
    errno = fault.error;
    return true;
}

/* A server's socket is non-blocking, and only these are meddled with. */
static bool is_server(int fd)
{
    return fcntl(fd, F_GETFL) & O_NONBLOCK;
}

ssize_t send(int fd, const void *bytes, size_t size, int flags)
{
    if (is_server(fd) && strikes(CALL_SEND))
        return -1;
    if (is_server(fd) && fault.dribble && size > 1)
        size = 1;
    return syscall(SYS_sendto, fd, bytes, size, flags, NULL, 0);
}

ssize_t recv(int fd, void *buffer, size_t size, int flags)
{
    if (is_server(fd) && strikes(CALL_RECV))
        return -1;
    return syscall(SYS_recvfrom, fd, buffer, size, flags, NULL, NULL);
}

int shutdown(int fd, int how)
{
    if (is_server(fd) && strikes(CALL_SHUTDOWN))
        return -1;
    return (int)syscall(SYS_shutdown, fd, how);
}

int accept4(int fd, __SOCKADDR_ARG address, socklen_t *restrict length, int flags)
{
    if (strikes(CALL_ACCEPT))
        return -1;
    return (int)syscall(SYS_accept4, fd, address.__sockaddr__, length, flags);
}

int epoll_ctl(int epoll_fd, int operation, int fd, struct epoll_event *event)
{
    if (strikes(CALL_EPOLL_CTL))
        return -1;
    return (int)syscall(SYS_epoll_ctl, epoll_fd, operation, fd, event);
}

/* What a client has seen so far: all of the greeting and the end of stream, or less. */
struct seen {
    size_t size;
    bool ended;  /* with a clean end of stream */
    bool broken; /* by a reset */
};

/* Reads what is there. */
static void see(struct seen *seen, int client, const struct greeting *greeting)
{
    char text[GREETING_SIZE + 1];
    ssize_t n;

    while ((n = recv(client, text, sizeof(text), MSG_DONTWAIT)) > 0) {
        cr_assert_leq(seen->size + (size_t)n, greeting->size);
        cr_assert_arr_eq(text, greeting->bytes + seen->size, (size_t)n);
        seen->size += (size_t)n;
    }
    seen->ended = n == 0;
    seen->broken = n < 0 && errno != EAGAIN;
}

/* Goes round until the one client's story is told. The client leaves when it has heard the end, but
 * not at once, so that it is waited for. The time told to greetd passes in steps of a timer's, each
 * of which gives the kernel a real millisecond to deliver. */
static struct seen go_on_until_told(struct acceptor_fixture *fixture, int *client)
{
    uint64_t now_usec = ACCEPTOR_FIXTURE_START;
    struct seen seen = {0};

    for (int left = NET_BOUND_MSEC; fake_logger.n == 0; left--) {
        cr_assert_gt(left, 0, "the client is never done with");
        cr_assert_eq(acceptor_fixture_run_once(fixture, now_usec), 0);
        if (*client >= 0)
            see(&seen, *client, &fixture->net.greetings[0]);
        if (seen.ended && now_usec > ACCEPTOR_FIXTURE_START + 4 * CONN_SOON_USEC)
            *client = safe_close(*client);
        poll(NULL, 0, 1);
        now_usec += CONN_SOON_USEC;
    }
    NET_WAIT_UNTIL(*client < 0 ||
                   (see(&seen, *client, &fixture->net.greetings[0]), seen.ended || seen.broken));
    return seen;
}

/* What the fault may have done to the client. EINTR, EAGAIN and a lack of memory, also of epoll's,
 * that passes are to cost nothing, and neither is a failure of what comes after the whole greeting.
 */
static void check_outcome(const struct seen *seen, const struct greeting *greeting)
{
    const struct connection_record *record = &fake_logger.records[0];
    bool harmless = fault.struck == 0 || fault.error == EINTR || fault.error == EAGAIN ||
                    fault.call == CALL_ACCEPT || fault.call == CALL_EPOLL_CTL ||
                    (fault.call == CALL_SEND && fault.error != ECONNRESET);

    cr_assert_eq(fake_logger.n, 1);
    cr_assert_leq(record->bytes_acked, record->bytes);
    cr_assert_leq(seen->size, record->bytes);
    if (harmless) {
        cr_assert_eq(seen->size, greeting->size);
        cr_assert(seen->ended);
        cr_assert_eq(record->result, RESULT_DELIVERED);
    } else if (seen->size < greeting->size) {
        cr_assert_eq(record->result, fault.error == ECONNRESET ? RESULT_RESET : RESULT_ERROR);
    } else {
        /* By when the kernel has told that all was acknowledged is a matter of time. */
        cr_assert(record->result == RESULT_DELIVERED ||
                  record->result == (fault.error == ECONNRESET ? RESULT_RESET : RESULT_ERROR));
    }
}

/* A client comes, speaks, is greeted, hears the end of stream and leaves. Returns whether the fault
 * has struck. */
static bool live_once(void)
{
    static char bytes[GREETING_SIZE];
    struct greeting_piece piece = {.size = sizeof(bytes), .variable = variable_find("metrics", 7)};
    struct acceptor_fixture fixture;
    size_t before = descriptors_count();
    int error = fault.error;

    memset(bytes, 'x', sizeof(bytes));
    fault.n = fault.struck = 0;
    fake_logger.n = fake_logger.n_errors = 0;
    fault.error = 0;
    acceptor_fixture_open(&fixture, 1, 2);
    fixture.net.greetings[0] = (struct greeting){
        .bytes = bytes,
        .size = sizeof(bytes),
        .pieces = made_up ? &piece : NULL,
        .n_pieces = made_up,
    };
    fixture.net.configs[0].settings.greet_on = on_data ? GREET_ON_DATA : GREET_ON_CONNECT;
    fixture.net.configs[0].settings.data_timeout_usec = USEC_INFINITY;
    int client = snapshot_fixture_connect(&fixture.net, 0);
    cr_assert_eq(send(client, "hello", 5, MSG_NOSIGNAL), 5);
    fault.error = error;

    struct seen seen = go_on_until_told(&fixture, &client);
    check_outcome(&seen, &fixture.net.greetings[0]);
    cr_assert_eq(fixture.clients.n, 0);
    cr_assert_eq(fixture.clients.n_ended, 1);
    cr_assert_leq(fixture.clients.touched, 1);

    safe_close(client);
    close(fixture.context.epoll_fd);
    acceptor_fixture_close(&fixture);
    cr_assert_eq(descriptors_count(), before);
    return fault.struck > 0;
}

/* One kind of failure, of one call, that lasts for so many calls. */
struct failing {
    enum call call;
    int error;
    unsigned times;
    bool dribble;
};

static struct failing failures[] = {
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

ParameterizedTestParameters(conn_faults, every_call_fails_once)
{
    return cr_make_param_array(struct failing, failures, ELEMENTSOF(failures));
}

ParameterizedTest(struct failing *failing, conn_faults, every_call_fails_once, .timeout = 120)
{
    fault.call = failing->call;
    fault.error = failing->error;
    fault.times = failing->times;
    fault.dribble = failing->dribble;
    for (unsigned way = 0; way < 4; way++) {
        unsigned nth = 0;

        on_data = way & 1;
        made_up = way & 2;
        do
            fault.nth = ++nth;
        while (live_once());
        /* The last life was one without a fault, and there was at least one with it. */
        cr_assert_gt(nth, failing->dribble ? GREETING_SIZE : 1);
    }
}

Test(conn_faults, a_byte_at_a_time_is_as_good_as_all_at_once, .timeout = 60)
{
    fault.dribble = true;
    cr_assert_not(live_once());
    cr_assert_eq(fake_logger.records[0].bytes, GREETING_SIZE);
}
