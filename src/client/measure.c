/* SPDX-License-Identifier: MIT */
#include "client/measure.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "greetd/base/cleanup.h"
#include "greetd/base/file.h"

#define HISTOGRAM_VALUE_MAX ((UINT64_C(1) << HISTOGRAM_VALUE_BITS) - 1)

/* Values below this have a bucket each. */
#define HISTOGRAM_EXACT (UINT64_C(2) << HISTOGRAM_BUCKET_BITS)

#define THREAD_FILE_MAX 4096
#define PATH_SIZE       (sizeof("/proc//task//schedstat") + 6 * sizeof(pid_t) + 2)

/* Returns how many low bits of VALUE its bucket ignores. */
static unsigned dropped_bits(uint64_t value)
{
    unsigned bits;

    if (value < HISTOGRAM_EXACT)
        return 0;
    bits = 64 - (unsigned)__builtin_clzll(value);
    return bits - (HISTOGRAM_BUCKET_BITS + 1);
}

static uint64_t bucket_of(uint64_t value)
{
    unsigned dropped = dropped_bits(value);

    return ((uint64_t)dropped << HISTOGRAM_BUCKET_BITS) + (value >> dropped);
}

/* Returns the greatest value in the bucket. */
static uint64_t bucket_end(uint64_t bucket)
{
    uint64_t power, leading;

    if (bucket < HISTOGRAM_EXACT)
        return bucket;
    power = (bucket >> HISTOGRAM_BUCKET_BITS) - 1;
    leading = bucket - (power << HISTOGRAM_BUCKET_BITS);
    return ((leading + 1) << power) - 1;
}

void histogram_add(struct histogram *histogram, uint64_t value)
{
    histogram->n++;
    if (value > histogram->max)
        histogram->max = value;
    histogram->buckets[bucket_of(value > HISTOGRAM_VALUE_MAX ? HISTOGRAM_VALUE_MAX : value)]++;
}

uint64_t histogram_quantile(const struct histogram *histogram, uint64_t numerator,
                            uint64_t denominator)
{
    uint64_t rank = (histogram->n * numerator + denominator - 1) / denominator;
    uint64_t n = 0;

    for (uint64_t bucket = 0; bucket < HISTOGRAM_BUCKETS - 1; bucket++) {
        n += histogram->buckets[bucket];
        if (n >= rank && n > 0) {
            uint64_t end = bucket_end(bucket);
            return end < histogram->max ? end : histogram->max;
        }
    }
    return histogram->max;
}

uint64_t histogram_count(const struct histogram *histogram, uint64_t from, uint64_t to)
{
    uint64_t n = 0;

    for (uint64_t bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++)
        if (bucket_end(bucket) >= from && bucket_end(bucket) < to)
            n += histogram->buckets[bucket];
    return n;
}

uint64_t load_result_count_lost(const struct load_result *result)
{
    return result->finished - result->outcomes[OUTCOME_OK] - result->outcomes[OUTCOME_NO_PORT];
}

enum exit_status load_result_exit_status(const struct load_result *result)
{
    enum exit_status worst = EXIT_STATUS_OK;

    for (enum outcome i = 0; i < OUTCOMES; i++)
        if (result->outcomes[i] > 0 && outcome_exit_status(i) > worst)
            worst = outcome_exit_status(i);
    return worst;
}

int schedstat_parse(uint64_t *ret_nsec, const char *text)
{
    unsigned long long nsec;
    char *end;

    if (!isdigit((unsigned char)text[0]))
        return -EINVAL;
    errno = 0;
    nsec = strtoull(text, &end, 10);
    if (errno != 0 || *end != ' ')
        return -EINVAL;
    *ret_nsec = nsec;
    return 0;
}

static struct schedstat_entry *find(const struct schedstat *schedstat, const char *name)
{
    for (size_t i = 0; i < schedstat->n; i++)
        if (strcmp(schedstat->entries[i].name, name) == 0)
            return &schedstat->entries[i];
    return NULL;
}

int schedstat_add(struct schedstat *schedstat, const char *name, uint64_t nsec)
{
    struct schedstat_entry added = {.nsec = nsec}, *entry;

    memcpy(added.name, name, strnlen(name, sizeof(added.name) - 1));
    entry = find(schedstat, added.name);
    if (entry) {
        entry->nsec += nsec;
        return 0;
    }
    entry = reallocarray(schedstat->entries, schedstat->n + 1, sizeof(*entry));
    if (!entry)
        return -ENOMEM;
    schedstat->entries = entry;
    schedstat->entries[schedstat->n++] = added;
    return 0;
}

/* Reads one file of a thread. *RET is the caller's, for free(3). */
static int read_thread_file(char **ret, pid_t pid, const char *tid, const char *name)
{
    char path[PATH_SIZE];
    size_t size;

    if (snprintf(path, sizeof(path), "/proc/%d/task/%s/%s", pid, tid, name) >= (int)sizeof(path))
        return -ENAMETOOLONG;
    return file_read(ret, &size, path, THREAD_FILE_MAX);
}

static int add_thread(struct schedstat *schedstat, pid_t pid, const char *tid)
{
    _cleanup_free_ char *text = NULL, *name = NULL;
    uint64_t nsec;
    int r;

    r = read_thread_file(&text, pid, tid, "schedstat");
    if (r >= 0)
        r = read_thread_file(&name, pid, tid, "comm");
    if (r >= 0)
        r = schedstat_parse(&nsec, text);
    if (r < 0)
        return r;
    name[strcspn(name, "\n")] = '\0';
    return schedstat_add(schedstat, name, nsec);
}

static void close_directory(DIR **directory)
{
    if (*directory)
        closedir(*directory);
}

static int add_threads(struct schedstat *schedstat, pid_t pid)
{
    _cleanup_(close_directory) DIR *directory = NULL;
    const struct dirent *thread;
    char path[PATH_SIZE];

    snprintf(path, sizeof(path), "/proc/%d/task", pid);
    directory = opendir(path);
    if (!directory)
        return errno == ENOENT ? -ESRCH : -errno;
    while ((thread = readdir(directory))) {
        int r = thread->d_name[0] == '.' ? 0 : add_thread(schedstat, pid, thread->d_name);
        if (r < 0 && r != -ENOENT && r != -ESRCH)
            return r;
    }
    return schedstat->n > 0 ? 0 : -ENOENT;
}

int schedstat_read(struct schedstat *ret, pid_t pid)
{
    struct schedstat schedstat = {0};

    int r = add_threads(&schedstat, pid);
    if (r < 0)
        schedstat_deinit(&schedstat);
    else
        *ret = schedstat;
    return r;
}

void schedstat_subtract(struct schedstat *after, const struct schedstat *before)
{
    for (size_t i = 0; i < after->n; i++) {
        struct schedstat_entry *entry = &after->entries[i];
        const struct schedstat_entry *earlier = find(before, entry->name);
        uint64_t nsec = earlier ? earlier->nsec : 0;

        entry->nsec = entry->nsec > nsec ? entry->nsec - nsec : 0;
    }
}

uint64_t schedstat_sum(const struct schedstat *schedstat)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < schedstat->n; i++)
        sum += schedstat->entries[i].nsec;
    return sum;
}

void schedstat_deinit(struct schedstat *schedstat)
{
    free(schedstat->entries);
    *schedstat = (struct schedstat){0};
}
