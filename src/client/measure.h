/* SPDX-License-Identifier: MIT */
#pragma once

/* The measurements of a load run: outcomes, latencies, and the processor time of the server. The
 * caller owns every structure; none is shared between threads. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "client/exchange.h"

/* A latency histogram as HdrHistogram has it: linear within each power of two. Every quantile has a
 * relative error below 1 %, in a fixed amount of memory, and no value is sampled or averaged. */

/* Each power of two has 128 buckets, so a bucket is at most 1/128 of its value wide. The first 256
 * values have a bucket each. */
#define HISTOGRAM_BUCKET_BITS 7

/* 2^27 us are 134 seconds; the last bucket counts all longer values. */
#define HISTOGRAM_VALUE_BITS 27

#define HISTOGRAM_BUCKETS                                                                          \
    ((HISTOGRAM_VALUE_BITS - HISTOGRAM_BUCKET_BITS + 1) << HISTOGRAM_BUCKET_BITS)

/* Empty when all zero. */
struct histogram {
    uint64_t n;
    uint64_t max;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

/* Counts one value, in microseconds or any other unit. */
void histogram_add(struct histogram *histogram, uint64_t value);

/* Returns the quantile NUMERATOR/DENOMINATOR (99/100 is p99): the smallest value that at least this
 * part of all values do not exceed. The result is never below it, and less than 1 % above it while
 * it is less than 2^HISTOGRAM_VALUE_BITS. Returns 0 if the histogram is empty. */
uint64_t histogram_quantile(const struct histogram *histogram, uint64_t numerator,
                            uint64_t denominator);

/* Returns how many values are at least FROM and less than TO, with the same error; values of
 * 2^HISTOGRAM_VALUE_BITS and more count as the last below it. */
uint64_t histogram_count(const struct histogram *histogram, uint64_t from, uint64_t to);

/* The connections of a load run. */
struct load_result {
    uint64_t outcomes[OUTCOMES];
    uint64_t finished;             /* the sum of all outcomes */
    uint64_t unfinished;           /* in progress when the run was interrupted or failed */
    uint64_t duration_usec;        /* from the first start to the last end */
    bool interrupted;              /* by SIGINT or SIGTERM */
    struct histogram latency_usec; /* from connect to end of stream, for OUTCOME_OK only */
};

/* Returns how many connections the server or the network lost: all except the right ones and those
 * without a local port. */
uint64_t load_result_count_lost(const struct load_result *result);

/* Returns the exit status of the worst outcome. */
enum exit_status load_result_exit_status(const struct load_result *result);

#define SCHEDSTAT_NAME_MAX 16 /* TASK_COMM_LEN of the kernel, see comm in proc(5) */

struct schedstat_entry {
    char name[SCHEDSTAT_NAME_MAX];
    uint64_t nsec; /* the sum over all threads of this name */
};

/* The processor time of a process by thread name, as the scheduler counts it. */
struct schedstat {
    struct schedstat_entry *entries; /* owned */
    size_t n;
};

/* Reads the text of /proc/PID/task/TID/schedstat, whose first number is the time spent on a
 * processor (Documentation/scheduler/sched-stats.rst of the kernel). Returns 0, or -EINVAL with
 * *RET_NSEC untouched. */
int schedstat_parse(uint64_t *ret_nsec, const char *text);

/* Adds NSEC to the entry of NAME, which is truncated as the kernel does. Returns 0 or -ENOMEM. */
int schedstat_add(struct schedstat *schedstat, const char *name, uint64_t nsec);

/* Reads the time that all threads of PID have used up to now, without threads that end during the
 * call. On success *RET is the caller's, for schedstat_deinit(). Errors: -ESRCH if there is no such
 * process, -ENOENT if the kernel keeps no such statistics, those of open(2) and read(2), -EINVAL,
 * -ENOMEM. */
int schedstat_read(struct schedstat *ret, pid_t pid);

/* Leaves in AFTER the time used since BEFORE. The time of threads that have ended in between is
 * lost; a name whose sum is smaller than before counts as 0. */
void schedstat_subtract(struct schedstat *after, const struct schedstat *before);

/* Returns the sum of all entries. */
uint64_t schedstat_sum(const struct schedstat *schedstat);

/* Frees the entries and leaves the structure empty. */
void schedstat_deinit(struct schedstat *schedstat);
