/* SPDX-License-Identifier: MIT */
#include "kernel.h"

#include "replace.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "explore.h"
#include "heap.h"
#include "memory.h"

#define FDS      16
#define FD_FIRST 100
#define WATCHES  4

/* A descriptor in an epoll instance. */
struct watch {
    int fd;
    struct epoll_event event;
    bool edge; /* written since the last event, for EPOLLET */
};

struct descriptor {
    bool blocking;
    eventfd_t count;  /* of an eventfd */
    struct view view; /* what its lock orders */
    unsigned n;       /* of an epoll instance */
    struct watch watches[WATCHES];
};

/* A kernel has no argument for it. */
static struct {
    unsigned n;
    struct descriptor descriptors[FDS];
} kernel;

void kernel_reset(void)
{
    kernel.n = 0;
}

static int new_descriptor(void)
{
    if (kernel.n == FDS)
        explore_give_up("too many descriptors");
    kernel.descriptors[kernel.n] = (struct descriptor){.blocking = false};
    return FD_FIRST + (int)kernel.n++;
}

static struct descriptor *descriptor_of(int fd)
{
    return &kernel.descriptors[fd - FD_FIRST];
}

static bool is_readable(unsigned fd)
{
    return descriptor_of((int)fd)->count > 0;
}

/* The descriptor and those that it watches, as bits. */
static uint64_t bits_of(int fd)
{
    const struct descriptor *descriptor = descriptor_of(fd);
    uint64_t bits = UINT64_C(1) << (fd - FD_FIRST);

    for (unsigned i = 0; i < descriptor->n; i++)
        bits |= UINT64_C(1) << (descriptor->watches[i].fd - FD_FIRST);
    return bits;
}

/* A system call on FD, which waits for IS_READY until DEADLINE. */
static struct descriptor *enter(int fd, bool (*is_ready)(unsigned), uint64_t deadline_usec)
{
    struct descriptor *descriptor = descriptor_of(fd);

    explore_step((struct step){.kind = STEP_KERNEL,
                               .where = (unsigned)fd,
                               .descriptors = bits_of(fd),
                               .is_ready = is_ready,
                               .deadline_usec = deadline_usec});
    memory_synchronise(explore_thread(), &descriptor->view);
    return descriptor;
}

int eventfd(unsigned count, int flags)
{
    int fd = new_descriptor();

    descriptor_of(fd)->count = count;
    descriptor_of(fd)->blocking = !(flags & EFD_NONBLOCK);
    return fd;
}

static void mark_edges(int fd)
{
    for (unsigned i = 0; i < kernel.n; i++)
        for (unsigned j = 0; j < kernel.descriptors[i].n; j++)
            kernel.descriptors[i].watches[j].edge |= kernel.descriptors[i].watches[j].fd == fd;
}

int eventfd_write(int fd, eventfd_t value)
{
    enter(fd, NULL, 0)->count += value;
    mark_edges(fd);
    explore_trace("writes to the eventfd", (uint64_t)fd);
    return 0;
}

int eventfd_read(int fd, eventfd_t *value)
{
    struct descriptor *descriptor =
        enter(fd, descriptor_of(fd)->blocking ? is_readable : NULL, UINT64_MAX);

    explore_trace("reads the eventfd", (uint64_t)fd);
    if (descriptor->count == 0) {
        errno = EAGAIN;
        return -1;
    }
    *value = descriptor->count;
    descriptor->count = 0;
    return 0;
}

int ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
    uint64_t deadline_usec = UINT64_MAX;

    (void)n;
    (void)mask;
    if (timeout)
        deadline_usec =
            explore_now() + (uint64_t)timeout->tv_sec * 1000000 + (uint64_t)timeout->tv_nsec / 1000;
    bool readable = enter(fds->fd, is_readable, deadline_usec)->count > 0;
    explore_trace(readable ? "wakes at" : "times out at", (uint64_t)fds->fd);
    fds->revents = readable ? POLLIN : 0;
    return readable;
}

int epoll_create1(int flags)
{
    (void)flags;
    return new_descriptor();
}

int epoll_ctl(int epoll_fd, int operation, int fd, struct epoll_event *event)
{
    struct descriptor *epoll = descriptor_of(epoll_fd);

    if (operation != EPOLL_CTL_ADD || epoll->n == WATCHES)
        explore_give_up("too many descriptors in epoll");
    epoll->watches[epoll->n++] = (struct watch){.fd = fd, .event = *event};
    return 0;
}

static bool has_event(const struct watch *watch)
{
    return watch->event.events & EPOLLET ? watch->edge : is_readable((unsigned)watch->fd);
}

static bool has_events(unsigned epoll_fd)
{
    const struct descriptor *epoll = descriptor_of((int)epoll_fd);

    for (unsigned i = 0; i < epoll->n; i++)
        if (has_event(&epoll->watches[i]))
            return true;
    return false;
}

int epoll_wait(int epoll_fd, struct epoll_event *events, int max, int timeout_msec)
{
    uint64_t deadline_usec =
        timeout_msec < 0 ? UINT64_MAX : explore_now() + (uint64_t)timeout_msec * 1000;
    struct descriptor *epoll = enter(epoll_fd, has_events, deadline_usec);
    int n = 0;

    for (unsigned i = 0; i < epoll->n && n < max; i++) {
        struct watch *watch = &epoll->watches[i];

        if (!has_event(watch))
            continue;
        watch->edge = false;
        memory_synchronise(explore_thread(), &descriptor_of(watch->fd)->view);
        events[n++] = watch->event;
    }
    explore_trace("has events", (uint64_t)n);
    return n;
}

int close(int fd)
{
    (void)fd;
    return 0;
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                   void *argument)
{
    (void)attributes;
    *thread = explore_start(run, argument);
    return 0;
}

int pthread_join(pthread_t thread, void **ret)
{
    (void)ret;
    explore_join((unsigned)thread);
    return 0;
}

int pthread_detach(pthread_t thread)
{
    (void)thread;
    return 0;
}

int pthread_setname_np(pthread_t thread, const char *name)
{
    (void)thread;
    (void)name;
    return 0;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    uint64_t now_usec = explore_now();

    (void)clock;
    *now = (struct timespec){.tv_sec = (time_t)(now_usec / 1000000),
                             .tv_nsec = (long)(now_usec % 1000000) * 1000};
    return 0;
}

/* Other threads may run at any time, so there is no need to wait. */
int clock_nanosleep(clockid_t clock, int flags, const struct timespec *time, struct timespec *rest)
{
    (void)clock;
    (void)flags;
    (void)time;
    (void)rest;
    return 0;
}
