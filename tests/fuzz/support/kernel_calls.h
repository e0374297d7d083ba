/* SPDX-License-Identifier: MIT */
#pragma once

/* The system calls of a worker on the sockets of kernel.h, in place of those of the C library. */

#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "kernel.h"

/* A poll(2) of more needs memory (N_STACK_PPS in fs/select.c of Linux). */
#define KERNEL_POLL_STACK 30

/* Each call takes a moment. */
int clock_gettime(clockid_t clock, struct timespec *time)
{
    if (!kernel.active || clock != CLOCK_MONOTONIC)
        return (int)syscall(SYS_clock_gettime, clock, time);
    kernel.now_usec++;
    *time = (struct timespec){.tv_sec = (time_t)(kernel.now_usec / USEC_PER_SEC),
                              .tv_nsec = (long)(kernel.now_usec % USEC_PER_SEC * 1000)};
    return 0;
}

int epoll_create1(int flags)
{
    PROPERTY(flags == EPOLL_CLOEXEC && !kernel.open[0]);
    kernel.open[0] = true;
    return KERNEL_EPOLL;
}

int eventfd(unsigned int value, int flags)
{
    int fd = KERNEL_EVENTFD;

    PROPERTY(flags == (EFD_CLOEXEC | EFD_NONBLOCK));
    while (kernel.open[fd - KERNEL_EPOLL])
        fd++;
    PROPERTY(fd < KERNEL_EVENTFD + KERNEL_EVENTFDS);
    kernel.open[fd - KERNEL_EPOLL] = true;
    kernel.eventfds[fd - KERNEL_EVENTFD] = value;
    return fd;
}

static uint64_t *kernel_eventfd(int fd)
{
    PROPERTY(fd >= KERNEL_EVENTFD && fd < KERNEL_EVENTFD + KERNEL_EVENTFDS &&
             kernel.open[fd - KERNEL_EPOLL]);
    return &kernel.eventfds[fd - KERNEL_EVENTFD];
}

int eventfd_write(int fd, eventfd_t value)
{
    *kernel_eventfd(fd) += value;
    kernel_interest(fd)->edge = true;
    return 0;
}

int eventfd_read(int fd, eventfd_t *value)
{
    uint64_t *counter = kernel_eventfd(fd);

    if (*counter == 0)
        return kernel_error(EAGAIN);
    *value = *counter;
    *counter = 0;
    return 0;
}

int epoll_ctl(int epoll_fd, int operation, int fd, struct epoll_event *event)
{
    struct kernel_interest *interest = kernel_interest(fd);

    PROPERTY(epoll_fd == KERNEL_EPOLL && kernel.open[0]);
    PROPERTY(fd < KERNEL_CLIENT || kernel_client(fd));
    PROPERTY(interest->is_in == (operation != EPOLL_CTL_ADD));
    if (operation == EPOLL_CTL_ADD && fd >= KERNEL_LISTENER && kernel_fails(&kernel.epoll_fault))
        return -1;
    PROPERTY(operation != EPOLL_CTL_MOD || !(interest->event.events & EPOLLEXCLUSIVE));
    kernel.n_changes++;
    *interest = (struct kernel_interest){.is_in = operation != EPOLL_CTL_DEL, .edge = true};
    if (interest->is_in)
        interest->event = *event;
    return 0;
}

int epoll_wait(int epoll_fd, struct epoll_event *events, int max, int timeout)
{
    PROPERTY(epoll_fd == KERNEL_EPOLL && kernel.open[0]);
    return on_wait(events, max, timeout);
}

int poll(struct pollfd *fds, nfds_t n, int timeout)
{
    int n_ready = 0;

    if (!kernel.active)
        return (int)syscall(SYS_poll, fds, n, timeout);
    PROPERTY(timeout == 0);
    if (n > KERNEL_POLL_STACK && kernel_fails(&kernel.poll_fault))
        return -1;
    for (nfds_t i = 0; i < n; i++) {
        uint32_t mask = (uint32_t)(unsigned short)fds[i].events | POLLERR | POLLHUP;

        fds[i].revents = (short)(kernel_ready_fd(fds[i].fd) & mask);
        n_ready += fds[i].revents != 0;
    }
    return n_ready;
}

/* The address of a peer. Its number is the last byte, or the user of a Unix socket. */
static socklen_t kernel_write_peer(const struct kernel_client *client, struct sockaddr *address)
{
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)(KERNEL_END + kernel_fd(client))),
                             .sin_addr.s_addr = htonl(0xc0000200 + client->peer)};
    sa_family_t family = AF_UNIX;

    if (client->kind == KERNEL_TCP)
        memcpy(address, &in, sizeof(in));
    else
        memcpy(address, &family, sizeof(family));
    return client->kind == KERNEL_TCP ? sizeof(in) : sizeof(family);
}

int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
    unsigned listener = (unsigned)(fd - KERNEL_LISTENER);
    unsigned *queue = kernel.queues[listener];

    PROPERTY(listener < KERNEL_LISTENERS && flags == (SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (kernel_fails(&kernel.accept_faults[listener]))
        return -1;
    if (kernel.n_queued[listener] == 0)
        return kernel_error(EAGAIN);
    struct kernel_client *client = &kernel.clients[queue[0]];
    memmove(queue, queue + 1, --kernel.n_queued[listener] * sizeof(*queue));
    client->state = KERNEL_ACCEPTED;
    kernel.n_changes++;
    *length = kernel_write_peer(client, address);
    on_accept(client);
    return kernel_fd(client);
}

/* How many of SIZE bytes the kernel takes now; 0 if it has no room. */
static size_t kernel_take(const struct kernel_client *client, size_t size)
{
    size_t outstanding = kernel_outstanding(client);
    size_t room = client->room > outstanding ? client->room - outstanding : 0;

    if (client->kind == KERNEL_RECORDS)
        return room > 0 ? size : 0;
    return size < room ? size : room;
}

ssize_t send(int fd, const void *bytes, size_t size, int flags)
{
    struct kernel_client *client = kernel_client(fd);

    PROPERTY(!client->shut && size > 0 && (flags & MSG_NOSIGNAL));
    on_send(client, bytes, size);
    if (kernel_interrupt(client, KERNEL_SEND))
        return -1;
    if (client->error)
        return kernel_take_error(client);
    if (client->broken)
        return kernel_error(EPIPE);
    if (client->kind == KERNEL_RECORDS && size > client->room)
        return kernel_error(EMSGSIZE);
    size = kernel_take(client, size);
    if (size == 0)
        return kernel_error(EAGAIN);
    on_sent(client, bytes, size);
    client->given += size;
    kernel.n_changes++;
    return (ssize_t)size;
}

static size_t kernel_read_chunk(struct kernel_client *client, char *buffer, size_t size)
{
    struct kernel_chunk *chunk = &client->chunks[client->first_chunk];
    size_t left = chunk->size - chunk->read;

    size = size < left ? size : left;
    if (chunk->bytes)
        memcpy(buffer, chunk->bytes + chunk->read, size);
    else
        memset(buffer, 0, size);
    client->n_read += size;
    chunk->read += (uint32_t)size;
    /* What does not fit of a record is lost. */
    if (chunk->read == chunk->size || client->kind == KERNEL_RECORDS)
        client->first_chunk++;
    return size;
}

ssize_t recv(int fd, void *buffer, size_t size, int flags)
{
    struct kernel_client *client = kernel_client(fd);

    PROPERTY(size > 0 && flags == 0);
    if (kernel_interrupt(client, KERNEL_RECV))
        return -1;
    kernel.n_changes++;
    if (kernel_has_input(client))
        return (ssize_t)kernel_read_chunk(client, buffer, size);
    bool hides_error = client->kind == KERNEL_TCP && client->fin;
    if (client->error && !hides_error)
        return kernel_take_error(client);
    if (client->fin || client->broken) {
        client->fin_read = true;
        return 0;
    }
    kernel.n_changes--;
    return kernel_error(EAGAIN);
}

int shutdown(int fd, int how)
{
    struct kernel_client *client = kernel_client(fd);

    PROPERTY(how == SHUT_WR && !client->shut);
    if (kernel_interrupt(client, KERNEL_SHUTDOWN))
        return -1;
    if (client->broken && client->kind == KERNEL_TCP)
        return kernel_error(ENOTCONN);
    client->shut = true;
    kernel.n_changes++;
    kernel_edge(client);
    on_shutdown(client);
    return 0;
}

int ioctl(int fd, unsigned long request, ...)
{
    va_list list;

    va_start(list, request);
    int *result = va_arg(list, int *);
    va_end(list);
    if (!kernel_has(fd))
        return (int)syscall(SYS_ioctl, fd, request, result);
    struct kernel_client *client = kernel_client(fd);
    size_t outstanding = kernel_outstanding(client);

    PROPERTY(request == SIOCOUTQ);
    if (kernel_interrupt(client, KERNEL_IOCTL))
        return -1;
    if (client->kind == KERNEL_TCP)
        outstanding = client->handshake ? 0 : outstanding + (client->shut && !client->fin_acked);
    else
        outstanding = client->broken || outstanding == 0 ? 0 : outstanding * 2 + 700;
    *result = (int)outstanding;
    return 0;
}

int getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
    struct kernel_client *client = kernel_client(fd);

    if (level == SOL_SOCKET && name == SO_ERROR) {
        memcpy(value, &client->error, sizeof(client->error));
        client->error = 0;
    } else if (level == SOL_SOCKET && name == SO_PEERCRED) {
        memcpy(value, &(struct ucred){.pid = 7, .uid = client->peer}, sizeof(struct ucred));
    } else if (level == IPPROTO_TCP && name == TCP_INFO && client->kind == KERNEL_TCP) {
        uint8_t state = client->handshake ? TCP_SYN_RECV : TCP_ESTABLISHED;

        memset(value, 0, *length);
        memcpy(value, &(struct tcp_info){.tcpi_state = state, .tcpi_rtt = 1234},
               sizeof(struct tcp_info));
    } else {
        return kernel_error(EOPNOTSUPP);
    }
    return 0;
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
    PROPERTY(kernel_client(fd) && level == SOL_SOCKET && name == SO_LINGER && value && length > 0);
    return 0;
}

int close(int fd)
{
    if (!kernel_has(fd))
        return (int)syscall(SYS_close, fd);
    struct kernel_interest *interest = &kernel.interests[fd - KERNEL_EPOLL];

    interest->is_in = false;
    kernel.n_changes++;
    if (fd >= KERNEL_CLIENT) {
        struct kernel_client *client = kernel_client(fd);

        on_close(client);
        client->state = KERNEL_CLOSED;
        return 0;
    }
    /* Workers do not own listening sockets. */
    PROPERTY(fd < KERNEL_LISTENER && kernel.open[fd - KERNEL_EPOLL]);
    kernel.open[fd - KERNEL_EPOLL] = false;
    return 0;
}
