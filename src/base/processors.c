/* SPDX-License-Identifier: MIT */
#include "greetd/base/processors.h"

#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "greetd/base/cleanup.h"

/* The quota of the one group with this directory, 0 if it has none. */
static unsigned quota_of_group(const char *directory)
{
    char path[PATH_MAX];
    long long quota, period;

    if (snprintf(path, sizeof(path), "%s/cpu.max", directory) >= (int)sizeof(path))
        return 0;
    _cleanup_fclose_ FILE *file = fopen(path, "re");
    /* Without a quota the first word is `max`. */
    if (!file || fscanf(file, "%lld %lld", &quota, &period) != 2 || quota <= 0 || period <= 0)
        return 0;
    return (unsigned)((quota + period - 1) / period);
}

static unsigned smaller_quota(unsigned a, unsigned b)
{
    if (a == 0 || b == 0)
        return a + b;
    return a < b ? a : b;
}

/* The smallest quota of the group GROUP ("/a/b") and of all above it, in the hierarchy mounted at
 * ROOT. In a container GROUP may be the host's path, which is not below ROOT; the quota is that of
 * ROOT then. */
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

unsigned processors_quota(const char *proc_cgroup, const char *cgroup_root)
{
    static const char unified[] = "0::"; /* the hierarchy of cgroup v2 */
    char line[PATH_MAX + sizeof(unified)];

    _cleanup_fclose_ FILE *file = fopen(proc_cgroup, "re");
    while (file && fgets(line, sizeof(line), file)) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, unified, strlen(unified)) == 0)
            return quota_of_path(cgroup_root, line + strlen(unified));
    }
    return 0;
}

unsigned processors_available(void)
{
    /* The kernel refuses a mask that is smaller than its own, and one cpu_set_t has room for only
     * 1024 processors. This has room for four times as many as Linux supports. */
    cpu_set_t set[32];
    unsigned quota = processors_quota("/proc/self/cgroup", "/sys/fs/cgroup");
    int affinity = sched_getaffinity(0, sizeof(set), set) == 0 ? CPU_COUNT_S(sizeof(set), set) : 1;

    return smaller_quota(affinity > 0 ? (unsigned)affinity : 1, quota);
}
