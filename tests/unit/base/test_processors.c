/* SPDX-License-Identifier: MIT */
#include "greetd/base/processors.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "support/fake.h"
#include "support/temp_dir.h"

/* The mount point of control groups, and the /proc/PID/cgroup of a process. */
static struct temp_dir temp_dir;

static void set_up(void)
{
    temp_dir_init(&temp_dir);
}

static void tear_down(void)
{
    temp_dir_deinit(&temp_dir);
}

TestSuite(processors, .init = set_up, .fini = tear_down, .timeout = 60);

/* Writes cpu.max of the group at PATH: "/a/b", or "" for the root. */
static void set_quota(const char *path, const char *text)
{
    char name[64];
    snprintf(name, sizeof(name), "%s/cpu.max", path);

    for (char *slash = strchr(name + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(temp_dir_path(&temp_dir, name + 1), 0755);
        *slash = '/';
    }
    temp_dir_write_text(&temp_dir, name + 1, text);
}

/* The quota of a process whose /proc/PID/cgroup is PROC. */
static unsigned quota(const char *proc)
{
    return processors_quota(temp_dir_write_text(&temp_dir, "self", proc), temp_dir.directory);
}

Test(processors, rounds_a_quota_up)
{
    set_quota("/a", "150000 100000\n");
    cr_assert_eq(quota("0::/a\n"), 2);
}

Test(processors, does_not_round_a_whole_quota)
{
    set_quota("/a", "300000 100000\n");
    cr_assert_eq(quota("0::/a\n"), 3);
}

Test(processors, counts_a_tenth_of_a_processor_as_one)
{
    set_quota("/a", "10000 100000\n");
    cr_assert_eq(quota("0::/a\n"), 1);
}

Test(processors, takes_max_for_no_quota)
{
    set_quota("/a", "max 100000\n");
    cr_assert_eq(quota("0::/a\n"), 0);
}

Test(processors, respects_the_quota_of_a_group_above)
{
    set_quota("/a/b/c", "max 100000\n");
    set_quota("/a", "400000 100000\n");
    cr_assert_eq(quota("0::/a/b/c\n"), 4);
}

Test(processors, takes_the_smallest_of_all_quotas)
{
    set_quota("/a/b/c", "500000 100000\n");
    set_quota("/a/b", "200000 100000\n");
    set_quota("/a", "300000 100000\n");
    cr_assert_eq(quota("0::/a/b/c\n"), 2);
}

/* In a container the path is that of the host, and the root of the mount is its own group. */
Test(processors, respects_the_quota_of_the_root_of_the_mount)
{
    set_quota("", "100000 100000\n");
    cr_assert_eq(quota("0::/docker/0123\n"), 1);
}

/* On a host with both versions, v1 has the controller of processors. */
Test(processors, reads_the_group_of_v2)
{
    set_quota("/a", "100000 100000\n");
    set_quota("/b", "600000 100000\n");
    cr_assert_eq(quota("4:cpu,cpuacct:/a\n0::/b\n"), 6);
}

Test(processors, finds_no_quota_in_missing_files)
{
    cr_assert_eq(quota("4:cpu,cpuacct:/a\n0::/b\n"), 0);
    cr_assert_eq(processors_quota("/nonexistent", "/nonexistent"), 0);
}

Test(processors, finds_no_quota_in_malformed_files)
{
    set_quota("/a", "100000 0\n");
    set_quota("", "100000\n");
    cr_assert_eq(quota("\nnonsense\n4:cpu\n0::/a\n"), 0);
}

Test(processors, finds_no_quota_without_v2)
{
    set_quota("", "100000 100000\n");
    cr_assert_eq(quota("4:cpu,cpuacct:/a\n"), 0);
}

Test(processors, takes_a_quota_of_nothing_for_none)
{
    set_quota("/a", "0 100000\n");
    cr_assert_eq(quota("0::/a\n"), 0);
}

/* Of a path that is too long with the mount point, the quota is unknown; of one that is too long
 * with the name of its file, that of the groups above counts. */
Test(processors, passes_over_groups_with_too_long_a_path)
{
    char proc[PATH_MAX + 4] = "0::";

    set_quota("", "200000 100000\n");
    memset(proc + 3, '/', PATH_MAX - 1);
    proc[PATH_MAX + 2] = '\0';
    cr_assert_eq(quota(proc), 0);
    proc[3 + PATH_MAX - 4 - strlen(temp_dir.directory)] = '\0';
    cr_assert_eq(quota(proc), 2);
}

/* A kernel that supports so many processors, of which the process may use N. 0: the real kernel. */
static struct {
    size_t n_supported, n;
} kernel;

FAKE int sched_getaffinity(pid_t pid, size_t size, cpu_set_t *mask)
{
    CPU_ZERO_S(size, mask);
    if (kernel.n_supported == 0)
        return syscall(SYS_sched_getaffinity, pid, size, mask) < 0 ? -1 : 0;
    if (size * CHAR_BIT < kernel.n_supported) {
        errno = EINVAL;
        return -1;
    }
    for (size_t i = 0; i < kernel.n; i++)
        CPU_SET_S(kernel.n_supported - 1 - i, size, mask);
    return 0;
}

Test(processors, are_all_available_on_the_largest_machine)
{
    kernel.n_supported = 8192;
    kernel.n = 2000;
    cr_assert_eq(processors_available(), 2000);
}

Test(processors, is_one_where_the_kernel_does_not_say)
{
    kernel.n_supported = 65536;
    cr_assert_eq(processors_available(), 1);
    kernel.n_supported = 64;
    kernel.n = 0;
    cr_assert_eq(processors_available(), 1);
}

Test(processors, are_available_as_far_as_the_affinity_allows)
{
    cpu_set_t set, one;
    size_t first = 0;

    cr_assert_eq(sched_getaffinity(0, sizeof(set), &set), 0);
    cr_assert_geq(processors_available(), 1);
    cr_assert_leq(processors_available(), (unsigned)CPU_COUNT(&set));

    while (!CPU_ISSET(first, &set))
        first++;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    cr_assert_eq(sched_setaffinity(0, sizeof(one), &one), 0);
    cr_assert_eq(processors_available(), 1);
}
