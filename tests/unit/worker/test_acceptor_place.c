/* SPDX-License-Identifier: MIT */

/* Tests of a client that finds no place after it was accepted. */

#include <criterion/criterion.h>
#include <errno.h>
#include <stdarg.h>
#include <sys/ioctl.h>

#include "support/acceptor_fixture.h"
#include "support/fake.h"
#include "support/fake_logger.h"

TestSuite(acceptor_place, .timeout = 60);

/* How often ioctl(2) does not know yet how many bytes are unacknowledged. */
static unsigned n_unknown;

/* Then it says that they are many. In place of that of the C library. */
FAKE int ioctl(int fd, unsigned long request, ...)
{
    va_list list;

    (void)fd;
    (void)request;
    va_start(list, request);
    *va_arg(list, int *) = 2 * CONN_LEFT_MAX;
    va_end(list);
    if (n_unknown == 0)
        return 0;
    n_unknown--;
    errno = EINVAL;
    return -1;
}

/* The first client could be evicted as the second one was accepted, and a moment later it can't. */
Test(acceptor_place, greets_and_closes_a_client_if_none_can_be_evicted)
{
    struct acceptor_fixture fixture;

    n_unknown = 100;
    acceptor_fixture_open(&fixture, 1, 1);
    int first = snapshot_fixture_connect(&fixture.net, 0);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, ACCEPTOR_FIXTURE_START), 0);
    cr_assert_eq(fixture.clients.n, 1);
    n_unknown = 1;

    int second = snapshot_fixture_connect(&fixture.net, 0);
    cr_assert_eq(acceptor_fixture_run_once(&fixture, ACCEPTOR_FIXTURE_START), 0);
    cr_assert_eq(fixture.clients.n, 1);
    cr_assert_eq(fixture.clients.n_used, 1);
    snapshot_fixture_read_hello(second);
    snapshot_fixture_read_hello(first);
    acceptor_fixture_close(&fixture);
}
