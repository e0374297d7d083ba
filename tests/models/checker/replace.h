/* SPDX-License-Identifier: MIT */
#pragma once

/* Included before everything else in what is checked: calls go to kernel.c. */

#define malloc             model_malloc
#define calloc             model_calloc
#define aligned_alloc      model_aligned_alloc
#define free               model_free
#define strdup             model_strdup
#define memcpy             model_memcpy
#define memset             model_memset
#define pthread_create     model_pthread_create
#define pthread_join       model_pthread_join
#define pthread_detach     model_pthread_detach
#define pthread_setname_np model_pthread_setname_np
#define sched_yield        model_sched_yield
#define clock_gettime      model_clock_gettime
#define clock_nanosleep    model_clock_nanosleep
#define eventfd            model_eventfd
#define eventfd_read       model_eventfd_read
#define eventfd_write      model_eventfd_write
#define ppoll              model_ppoll
#define epoll_create1      model_epoll_create1
#define epoll_ctl          model_epoll_ctl
#define epoll_wait         model_epoll_wait
#define close              model_close
#define mmap               model_mmap
#define munmap             model_munmap
#define madvise            model_madvise
#define getrandom          model_getrandom
#define __assert_fail      model_assert_fail
