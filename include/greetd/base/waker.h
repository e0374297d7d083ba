/* SPDX-License-Identifier: MIT */
#pragma once

/* Lets one thread sleep until another has work for it, almost without cost while it is awake (an
 * event count). The thread that sleeps owns the waker:
 *
 *     waker_prepare(); if there is no work: waker_sleep(), else waker_cancel()
 *
 * Another thread first makes its work visible and then calls waker_wake(). */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct waker {
    int fd; /* owned: an eventfd */
    /* The thread sleeps or is about to, so that it must be woken. Relaxed: the fences in waker.c
     * give the order. */
    atomic_bool asleep;
};

#define WAKER_NULL ((struct waker){.fd = -1})

/* Returns 0 or a negative errno of eventfd(2). */
int waker_init(struct waker *waker);

void waker_deinit(struct waker *waker);

/* Wakes the thread if it sleeps or is about to. Callable from any thread; never blocks. */
void waker_wake(struct waker *waker);

/* Announces that the thread will sleep unless it finds work now. */
void waker_prepare(struct waker *waker);

/* Cancels the announcement. */
void waker_cancel(struct waker *waker);

/* Sleeps until it is woken or until DEADLINE (of clock.h, or USEC_INFINITY). It may also wake
 * without a reason. */
void waker_sleep(struct waker *waker, uint64_t deadline_usec);

/* Waits until FD, which may be any descriptor, is readable, or until DEADLINE. Returns whether it
 * is readable. */
bool waker_wait_readable(int fd, uint64_t deadline_usec);
