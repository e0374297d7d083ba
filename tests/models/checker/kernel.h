/* SPDX-License-Identifier: MIT */
#pragma once

/* The functions of libc and of the kernel that the program calls, as replace.h renames them:
 * memory, threads, clocks, eventfd(2), poll(2) and epoll(7). As in the kernel, a lock orders the
 * writes and reads of an eventfd. */

/* Closes all descriptors. */
void kernel_reset(void);
