/* SPDX-License-Identifier: MIT */
#include "client/fetch.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "greetd/base/clock.h"

TestSuite(fetch, .timeout = 60);

/* The caller may have needed the time, to print what came before. */
Test(fetch, gives_up_when_the_time_is_over_even_if_there_are_bytes)
{
    const struct fetch_options options = {.timeout_usec = 1};
    struct fetch fetch = {.options = &options};
    char buffer[16];
    int fds[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    cr_assert_eq(write(fds[1], "Hello", 5), 5);
    fetch.fd = fds[0];
    fetch.due_usec = clock_now() + USEC_PER_SEC * 3600;
    cr_assert_eq(fetch_read(&fetch, buffer, 3), 3);
    fetch.due_usec = clock_now();
    cr_assert_eq(fetch_read(&fetch, buffer, sizeof(buffer)), -ETIMEDOUT);
    close(fds[0]);
    close(fds[1]);
}
