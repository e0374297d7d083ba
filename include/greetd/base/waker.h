/* SPDX-License-Identifier: MIT */
#pragma once

/* How a thread sleeps until another has something for it, where telling it so costs next to nothing
 * while it is awake (an event count):
 *
 *     waker_prepare(); if nothing is there: waker_sleep(), else waker_cancel()
 *
 * Others first put something there and then call waker_wake(). */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct waker {
    int fd; /* owned: an eventfd */
    /* Whether the thread is about to sleep, so that it must be woken. */
    atomic_bool asleep;
};

#define WAKER_NULL ((struct waker){.fd = -1})

/* Returns 0 or a negative errno of eventfd(2). */
int waker_init(struct waker *waker);

void waker_deinit(struct waker *waker);

/* Wakes the thread if it sleeps, or is about to. Any thread may; never blocks. */
void waker_wake(struct waker *waker);

/* Announces that the thread is going to sleep unless it finds something now. */
void waker_prepare(struct waker *waker);

/* Takes that back. */
void waker_cancel(struct waker *waker);

/* Sleeps until it is woken or until DEADLINE (CLOCK_MONOTONIC microseconds; USEC_INFINITY). It may
 * also wake for nothing. */
void waker_sleep(struct waker *waker, uint64_t deadline_usec);

/* Waits until FD, which may be any descriptor, is readable, or until DEADLINE (CLOCK_MONOTONIC
 * microseconds; USEC_INFINITY). Returns whether it is. */
bool waker_wait_readable(int fd, uint64_t deadline_usec);
