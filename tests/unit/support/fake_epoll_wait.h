/* SPDX-License-Identifier: MIT */
#pragma once

/* An epoll_wait(2) that can hang, in place of that of the C library. Include it in one source of a
 * program only. */

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "support/fake.h"

static struct {
    atomic_bool hangs;     /* calls do not return */
    atomic_uint n_hanging; /* calls that hang, or have hung */
} fake_epoll_wait;

FAKE int epoll_wait(int fd, struct epoll_event *events, int n, int timeout_msec)
{
    if (atomic_load(&fake_epoll_wait.hangs)) {
        atomic_fetch_add(&fake_epoll_wait.n_hanging, 1);
        while (atomic_load(&fake_epoll_wait.hangs))
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return (int)syscall(SYS_epoll_pwait, fd, events, n, timeout_msec, NULL, 0);
}
