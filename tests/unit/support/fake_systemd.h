/* SPDX-License-Identifier: MIT */
#pragma once

/* A notify socket in place of that of systemd: it receives the messages of sd_notify(3). */

#include <criterion/criterion.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "support/net.h"

static struct {
    int fd;
    int passed_fd; /* passed with the last message, or -1 */
    char last[4096];
} fake_systemd = {.fd = -1, .passed_fd = -1};

/* Binds the socket and sets $NOTIFY_SOCKET. */
static inline void fake_systemd_open(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    socklen_t length = sizeof(address);
    char text[sizeof(address.sun_path) + 1];

    fake_systemd.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    cr_assert_eq(bind(fake_systemd.fd, (struct sockaddr *)&address, sizeof(sa_family_t)), 0);
    cr_assert_eq(getsockname(fake_systemd.fd, (struct sockaddr *)&address, &length), 0);
    snprintf(text, sizeof(text), "@%.*s",
             (int)(length - offsetof(struct sockaddr_un, sun_path) - 1), address.sun_path + 1);
    setenv("NOTIFY_SOCKET", text, 1);
}

/* Reads the next message into fake_systemd.last. Returns false if there is none. */
static inline bool fake_systemd_receive(void)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec vector = {fake_systemd.last, sizeof(fake_systemd.last) - 1};
    struct msghdr message = {
        .msg_iov = &vector,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = sizeof(control.bytes),
    };
    ssize_t n = recvmsg(fake_systemd.fd, &message, MSG_CMSG_CLOEXEC);

    if (n < 0)
        return false;
    fake_systemd.last[n] = '\0';
    struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
    if (rights && rights->cmsg_type == SCM_RIGHTS)
        memcpy(&fake_systemd.passed_fd, CMSG_DATA(rights), sizeof(int));
    return true;
}

/* Reads messages until one contains TEXT. Returns false if none does. */
static inline bool fake_systemd_has_received(const char *text)
{
    while (fake_systemd_receive())
        if (strstr(fake_systemd.last, text))
            return true;
    return false;
}

/* Runs the event loop until a message contains TEXT. */
static inline void fake_systemd_await(sd_event *event, const char *text)
{
    while (!fake_systemd_has_received(text))
        cr_assert_gt(sd_event_run(event, (uint64_t)NET_BOUND_MSEC * 1000), 0, "waiting for %s",
                     text);
}
