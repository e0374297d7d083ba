/* SPDX-License-Identifier: MIT */
#include "greet/schedstat.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "greetd/base/cleanup.h"
#include "greetd/base/file.h"

#define FILE_SIZE_MAX 4096
#define PATH_SIZE     (sizeof("/proc//task//schedstat") + 6 * sizeof(pid_t) + 2)

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

/* Reads one file of a thread. *RET is the caller's to free(). */
static int read_thread_file(char **ret, pid_t pid, const char *tid, const char *name)
{
    char path[PATH_SIZE];
    size_t size;

    if (snprintf(path, sizeof(path), "/proc/%d/task/%s/%s", pid, tid, name) >= (int)sizeof(path))
        return -ENAMETOOLONG;
    return file_read(ret, &size, path, FILE_SIZE_MAX);
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

static void close_folder(DIR **folder)
{
    if (*folder)
        closedir(*folder);
}

static int add_threads(struct schedstat *schedstat, pid_t pid)
{
    _cleanup_(close_folder) DIR *folder = NULL;
    const struct dirent *thread;
    char path[PATH_SIZE];

    snprintf(path, sizeof(path), "/proc/%d/task", pid);
    folder = opendir(path);
    if (!folder)
        return errno == ENOENT ? -ESRCH : -errno;
    while ((thread = readdir(folder))) {
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
        const struct schedstat_entry *then = find(before, entry->name);
        uint64_t nsec = then ? then->nsec : 0;

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
