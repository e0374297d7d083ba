/* SPDX-License-Identifier: MIT */

/* A wait that the kernel refuses. */

/* With it ppoll(2) is an inline function, which this test could not replace. */
#undef _FORTIFY_SOURCE

#include <criterion/criterion.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "greetd/base/clock.h"
#include "greetd/base/waker.h"
#include "support/fake.h"

TestSuite(waker_error, .timeout = 60);

/* How many calls of ppoll(2) fail from now on. */
static unsigned n_errors;

/* In place of that of the C library. */
FAKE int ppoll(struct pollfd *fds, nfds_t nfds, const struct timespec *timeout, const sigset_t *ss)
{
    struct timespec left = timeout ? *timeout : (struct timespec){.tv_sec = LONG_MAX};

    (void)ss;
    if (n_errors > 0) {
        n_errors--;
        errno = ENOMEM;
        return -1;
    }
    return (int)syscall(SYS_ppoll, fds, nfds, &left, NULL, 0);
}

Test(waker_error, an_error_is_no_timeout)
{
    int fd = eventfd(1, EFD_CLOEXEC);

    cr_assert_geq(fd, 0);
    n_errors = 2;
    cr_assert(waker_wait_readable(fd, USEC_INFINITY));
    cr_assert_eq(n_errors, 0);
    close(fd);
}

Test(waker_error, a_wait_with_errors_ends_at_its_deadline)
{
    int fd = eventfd(0, EFD_CLOEXEC);
    uint64_t deadline_usec = clock_now() + 20000;

    cr_assert_geq(fd, 0);
    n_errors = UINT_MAX;
    cr_assert_not(waker_wait_readable(fd, deadline_usec));
    cr_assert_geq(clock_now(), deadline_usec);
    close(fd);
}
