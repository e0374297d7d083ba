/* SPDX-License-Identifier: MIT */
#pragma once

/* Descriptors passed as systemd passes them: from number 3 on, with $LISTEN_FDS set. Criterion has
 * descriptors there too. They are moved aside meanwhile, so a test must not assert anything between
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

/* Passes duplicates of the N descriptors FDS under NAMES ("a:b"). The number of a descriptor that
 * is -1 is passed, but closed. */
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

/* Restores the descriptors of Criterion. The sockets in SET get other numbers. */
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
