/* SPDX-License-Identifier: MIT */
#include "greetd/processors.h"

#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "greetd/util.h"

static void fclosep(FILE **file)
{
    if (*file)
        fclose(*file);
}
#define _cleanup_fclose_ _cleanup_(fclosep)

/* Reads one line of the file DIRECTORY/NAME, without its newline. */
static bool read_line(const char *directory, const char *name, char *line, int size)
{
    char path[PATH_MAX];

    if (snprintf(path, sizeof(path), "%s/%s", directory, name) >= (int)sizeof(path))
        return false;

    _cleanup_fclose_ FILE *file = fopen(path, "re");
    if (!file || !fgets(line, size, file))
        return false;
    line[strcspn(line, "\n")] = '\0';
    return true;
}

static unsigned whole_processors(long long quota, long long period)
{
    if (quota <= 0 || period <= 0)
        return 0;
    return (unsigned)((quota + period - 1) / period);
}

/* The limit that one group's directory sets, 0 if none. */
static unsigned quota_of_group(const char *directory)
{
    char line[64], period_line[64];
    long long quota, period;

    if (read_line(directory, "cpu.max", line, sizeof(line))) {
        if (sscanf(line, "%lld %lld", &quota, &period) == 2)
            return whole_processors(quota, period);
    } else if (read_line(directory, "cpu.cfs_quota_us", line, sizeof(line)) &&
               read_line(directory, "cpu.cfs_period_us", period_line, sizeof(period_line))) {
        if (sscanf(line, "%lld", &quota) == 1 && sscanf(period_line, "%lld", &period) == 1)
            return whole_processors(quota, period);
    }
    return 0;
}

static unsigned smaller_quota(unsigned a, unsigned b)
{
    if (a == 0 || b == 0)
        return a + b;
    return a < b ? a : b;
}

/* The tightest limit of the group GROUP ("/a/b") and all above it, in the hierarchy mounted at
 * ROOT. */
static unsigned quota_of_path(const char *root, const char *group)
{
    char directory[PATH_MAX];
    unsigned quota = 0;
    size_t root_length = strlen(root);

    if (snprintf(directory, sizeof(directory), "%s%s", root, group) >= (int)sizeof(directory))
        return 0;
    for (;;) {
        quota = smaller_quota(quota, quota_of_group(directory));
        char *slash = strrchr(directory + root_length, '/');
        if (!slash)
            return quota;
        *slash = '\0';
    }
}

/* Whether the comma-separated LIST names the controller `cpu`. */
static bool names_cpu(const char *list)
{
    for (const char *p = list; p; p = strchr(p, ',')) {
        p += *p == ',';
        if (strncmp(p, "cpu", 3) == 0 && (p[3] == ',' || p[3] == '\0'))
            return true;
    }
    return false;
}

/* One line of /proc/PID/cgroup, "hierarchy:controllers:path": v2 has no controllers, v1 has a mount
 * for each list of them, and where both are in use v2 is found at unified/. */
static unsigned quota_of_line(char *line, const char *cgroup_root)
{
    char root[PATH_MAX];
    char *controllers = strchr(line, ':');
    char *path = controllers ? strchr(++controllers, ':') : NULL;
    unsigned quota = 0;

    if (!path)
        return 0;
    *path++ = '\0';
    path[strcspn(path, "\n")] = '\0';

    if (*controllers == '\0') {
        snprintf(root, sizeof(root), "%s/unified", cgroup_root);
        quota = smaller_quota(quota_of_path(cgroup_root, path), quota_of_path(root, path));
    } else if (names_cpu(controllers)) {
        snprintf(root, sizeof(root), "%s/%s", cgroup_root, controllers);
        quota = quota_of_path(root, path);
    }
    return quota;
}

unsigned processors_quota(const char *proc_cgroup, const char *cgroup_root)
{
    char line[PATH_MAX + 64];
    unsigned quota = 0;

    _cleanup_fclose_ FILE *file = fopen(proc_cgroup, "re");
    if (!file)
        return 0;
    while (fgets(line, sizeof(line), file))
        quota = smaller_quota(quota, quota_of_line(line, cgroup_root));
    return quota;
}

unsigned processors_available(void)
{
    cpu_set_t set;
    unsigned quota = processors_quota("/proc/self/cgroup", "/sys/fs/cgroup");
    unsigned affinity =
        sched_getaffinity(0, sizeof(set), &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;

    return smaller_quota(affinity > 0 ? affinity : 1, quota);
}
