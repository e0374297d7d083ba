/* SPDX-License-Identifier: MIT */
#pragma once

/* A send(2) that can fail, in place of that of the C library. Include it in one source of a program
 * only. */

#include <errno.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "support/fake.h"

/* The errno of the next calls; 0: they go to the kernel. */
static int fake_send_error;

FAKE ssize_t send(int fd, const void *bytes, size_t size, int flags)
{
    if (fake_send_error) {
        errno = fake_send_error;
        return -1;
    }
    return syscall(SYS_sendto, fd, bytes, size, flags, NULL, 0);
}
