/* SPDX-License-Identifier: MIT */
#pragma once

/* Passes descriptors as systemd does: from number 3 on, announced in the environment. Criterion has
 * descriptors there too, so they are put aside meanwhile, and nothing may be asserted between
 * pass_fds_begin() and pass_fds_end(). */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "greetd/listen/activation.h"

#define PASS_FDS_MAX 16

static struct {
    int aside[PASS_FDS_MAX];
    int n;
} passed;

/* Passes the N descriptors FDS, which stay the caller's, under NAMES ("a:b"). One that is -1 is
 * announced but not there. */
static inline void pass_fds_begin(const int *fds, int n, const char *names)
{
    char text[16];

    passed.n = n;
    for (int i = 0; i < n; i++) {
        int number = SD_LISTEN_FDS_START + i;

        passed.aside[i] = fcntl(number, F_DUPFD_CLOEXEC, 100);
        if (fds[i] < 0)
            close(number);
        else
            dup2(fds[i], number);
    }
    snprintf(text, sizeof(text), "%d", n);
    setenv("LISTEN_FDS", text, 1);
    setenv("LISTEN_FDNAMES", names, 1);
    snprintf(text, sizeof(text), "%d", (int)getpid());
    setenv("LISTEN_PID", text, 1);
}

/* Puts everything back. The sockets in SET get other numbers. */
static inline void pass_fds_end(struct listener_set *set)
{
    for (size_t i = 0; i < set->n; i++)
        set->at[i]->fd = fcntl(set->at[i]->fd, F_DUPFD_CLOEXEC, 200);
    for (int i = 0; i < passed.n; i++) {
        int number = SD_LISTEN_FDS_START + i;

        if (passed.aside[i] < 0) {
            close(number);
        } else {
            dup2(passed.aside[i], number);
            close(passed.aside[i]);
        }
    }
}
