/* SPDX-License-Identifier: MIT */
#include "greetd/base/waker.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>

#include "greetd/base/cleanup.h"
#include "greetd/base/clock.h"

int waker_init(struct waker *waker)
{
    int fd = eventfd(0, EFD_CLOEXEC);

    if (fd < 0)
        return -errno;
    *waker = (struct waker){.fd = fd};
    return 0;
}

void waker_deinit(struct waker *waker)
{
    waker->fd = safe_close(waker->fd);
}

/* The fences, here and in waker_prepare(), are the only order. Either the thread sees the work when
 * it looks once more before it sleeps, or this function sees that the thread is about to sleep.
 * tests/models/scenarios/waker.c tries all executions. */
void waker_wake(struct waker *waker)
{
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&waker->asleep, memory_order_relaxed) &&
        atomic_exchange_explicit(&waker->asleep, false, memory_order_relaxed))
        (void)eventfd_write(waker->fd, 1);
}

void waker_prepare(struct waker *waker)
{
    atomic_store_explicit(&waker->asleep, true, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
}

void waker_cancel(struct waker *waker)
{
    atomic_store_explicit(&waker->asleep, false, memory_order_relaxed);
}

/* An error is no timeout, after which a caller gives up a thread that is about to end. */
bool waker_wait_readable(int fd, uint64_t deadline_usec)
{
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    int n;

    do {
        uint64_t now_usec = clock_now();
        uint64_t left_usec = deadline_usec > now_usec ? deadline_usec - now_usec : 0;
        const struct timespec left = {.tv_sec = (time_t)(left_usec / 1000000),
                                      .tv_nsec = (long)(left_usec % 1000000) * 1000};

        n = ppoll(&readable, 1, deadline_usec == USEC_INFINITY ? NULL : &left, NULL);
    } while (n < 0 && clock_now() < deadline_usec);
    return n > 0;
}

void waker_sleep(struct waker *waker, uint64_t deadline_usec)
{
    eventfd_t n;

    if (waker_wait_readable(waker->fd, deadline_usec))
        (void)eventfd_read(waker->fd, &n);
    waker_cancel(waker);
}
