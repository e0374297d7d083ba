/* SPDX-License-Identifier: MIT */
#pragma once

/* A definition of send(2) that takes the place of the C library's and can be made to fail. For one
 * source of a program. */

#include <errno.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What the next calls fail with; 0 for the kernel's own answer. */
static int send_error;

ssize_t send(int fd, const void *bytes, size_t size, int flags)
{
    if (send_error) {
        errno = send_error;
        return -1;
    }
    return syscall(SYS_sendto, fd, bytes, size, flags, NULL, 0);
}
