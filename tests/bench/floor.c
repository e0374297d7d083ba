/* SPDX-License-Identifier: MIT */

/* What the kernel alone costs: a greeting server with nothing but the system calls that it takes,
 * one client after the other.
 *
 *     bench-floor [--linger] PORT
 *
 * It greets on 127.0.0.1. Without --linger a client costs accept, send and close, which loses the
 * greeting of one that speaks first. With it, the least that loses none: accept, send, shutdown,
 * recv until the client has closed, close. A client that never closes stops it; it is no server to
 * use. */

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 4096

static const char greeting[] = {'H', 'e', 'l', 'l', 'o', ' ', 'f', 'r', 'o',
                                'm', ' ', 's', 'e', 'r', 'v', 'e', 'r', '!'};

/* Returns a listening socket, or -1 with errno set. */
static int listen_on(in_port_t port)
{
    const struct sockaddr_in in = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int yes = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) < 0 ||
        bind(fd, (const struct sockaddr *)&in, sizeof(in)) < 0 || listen(fd, BACKLOG) < 0)
        return -1;
    return fd;
}

static void await_close(int fd)
{
    char buffer[16 * 1024];

    if (shutdown(fd, SHUT_WR) < 0)
        return;
    while (recv(fd, buffer, sizeof(buffer), 0) > 0)
        ;
}

static _Noreturn void serve(int listening_fd, bool linger)
{
    for (;;) {
        int fd = accept(listening_fd, NULL, NULL);

        if (fd < 0)
            continue;
        (void)send(fd, greeting, sizeof(greeting), MSG_NOSIGNAL);
        if (linger)
            await_close(fd);
        close(fd);
    }
}

int main(int argc, char *argv[])
{
    bool linger = argc > 2 && strcmp(argv[1], "--linger") == 0;
    long port = argc == 2 + linger ? strtol(argv[argc - 1], NULL, 10) : 0;
    int fd;

    if (port < 1 || port > UINT16_MAX) {
        fputs("bench-floor [--linger] PORT\n", stderr);
        return 2;
    }
    fd = listen_on((in_port_t)port);
    if (fd < 0) {
        perror("bench-floor");
        return 1;
    }
    serve(fd, linger);
}
