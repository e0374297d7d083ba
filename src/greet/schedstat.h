/* SPDX-License-Identifier: MIT */
#pragma once

/* The processor time of a process, as the scheduler counts it in nanoseconds, by the names of its
 * threads. */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SCHEDSTAT_NAME_MAX 16 /* TASK_COMM_LEN of the kernel, see comm in proc(5) */

struct schedstat_entry {
    char name[SCHEDSTAT_NAME_MAX]; /* of all threads called so */
    uint64_t nsec;
};

struct schedstat {
    struct schedstat_entry *entries; /* owned */
    size_t n;
};

/* Reads the text of /proc/PID/task/TID/schedstat, whose first number is the time spent on a
 * processor (Documentation/scheduler/sched-stats.rst of the kernel). Returns 0, or -EINVAL with
 * *RET_NSEC untouched. */
int schedstat_parse(uint64_t *ret_nsec, const char *text);

/* Adds NSEC to the entry of this name, cut to what the kernel keeps of one. Returns 0 or -ENOMEM.
 */
int schedstat_add(struct schedstat *schedstat, const char *name, uint64_t nsec);

/* Reads what all threads of PID have used up to now. A thread that ends while they are read is left
 * out. On success *RET is the caller's, for schedstat_deinit(). Errors: -ESRCH if there is no such
 * process, -ENOENT if the kernel keeps no such statistics, what open(2) or read(2) said, -EINVAL,
 * -ENOMEM. */
int schedstat_read(struct schedstat *ret, pid_t pid);

/* Leaves in AFTER what was used since BEFORE. Of threads that have ended in between nothing is
 * known; a name whose time has become less for that counts as 0. */
void schedstat_subtract(struct schedstat *after, const struct schedstat *before);

/* The sum of all entries. */
uint64_t schedstat_sum(const struct schedstat *schedstat);

/* Frees what is owned and leaves it empty. */
void schedstat_deinit(struct schedstat *schedstat);
