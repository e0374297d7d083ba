/* SPDX-License-Identifier: MIT */
#pragma once

/* Workers that hang: in a definition of epoll_wait(2) that takes the place of the C library's. For
 * one source of a program. */

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static atomic_bool fake_epoll_wait_hangs; /* workers that come to wait stay there */
static atomic_uint n_hanging;             /* how many have come so far */
static _Thread_local bool is_main_thread; /* which never hangs */

int epoll_wait(int fd, struct epoll_event *events, int n, int timeout_msec)
{
    if (!is_main_thread && atomic_load(&fake_epoll_wait_hangs)) {
        atomic_fetch_add(&n_hanging, 1);
        while (atomic_load(&fake_epoll_wait_hangs))
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return (int)syscall(SYS_epoll_pwait, fd, events, n, timeout_msec, NULL, 0);
}
